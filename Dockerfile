# docker build -t qlik_exporter \
#   --build-arg VERSION="$(git describe --tags --always)" \
#   --build-arg REVISION="$(git rev-parse HEAD)" \
#   --build-arg DATE="$(git log -1 --format=%cI)" .

# Where images are mirrored, name the mirror's; a digest pins it.
ARG BUILDER_IMAGE=golang:1.26

# The compiler runs on the building machine and cross-compiles for the target.
FROM --platform=$BUILDPLATFORM ${BUILDER_IMAGE} AS build
WORKDIR /src

# The modules change less often than the code and are a layer of their own.
COPY go.mod go.sum ./
RUN go mod download

COPY . .
ARG TARGETOS
ARG TARGETARCH
ARG VERSION=unknown
ARG REVISION
ARG BRANCH
ARG DATE
RUN V=github.com/prometheus/common/version && \
    CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath -o /qlik_exporter -ldflags "-s -w \
      -X $V.Version=${VERSION#v} -X $V.Revision=$REVISION -X $V.Branch=$BRANCH -X $V.BuildDate=$DATE" .

# For the demo, which writes its certificates into a temporary folder.
RUN mkdir -p /root-of-image && mkdir -m 1777 /root-of-image/tmp

# Nothing but the program: no shell, no package manager, no certificate
# authorities, since it trusts only the root.pem of the Qlik Sense site.
FROM scratch
ARG VERSION=unknown
ARG REVISION
ARG DATE
LABEL org.opencontainers.image.title="qlik_exporter" \
      org.opencontainers.image.description="Prometheus exporter for user sessions and licenses of Qlik Sense Enterprise on Windows" \
      org.opencontainers.image.source="https://github.com/qlik-exporter/qlik_exporter" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.created="$DATE"
COPY --from=build /root-of-image /
COPY LICENSE THIRD_PARTY_NOTICES /
COPY --from=build /qlik_exporter /qlik_exporter

# A number, so that Kubernetes' runAsNonRoot can be checked.
USER 65532:65532
EXPOSE 9986
ENTRYPOINT ["/qlik_exporter"]
