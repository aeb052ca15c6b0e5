# docker build -t qlik_exporter \
#   --build-arg VERSION="$(git describe --tags --always)" \
#   --build-arg REVISION="$(git rev-parse HEAD)" \
#   --build-arg DATE="$(git log -1 --format=%cI)" .

# If you mirror images, use the name of the mirror. A digest pins the image.
ARG BUILDER_IMAGE=golang:1.26

# The compiler runs on the platform of the build machine and cross-compiles.
FROM --platform=$BUILDPLATFORM ${BUILDER_IMAGE} AS build
WORKDIR /src

# Modules change less often than the code, so they have their own layer.
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

# The demo writes its certificates to a temporary folder. The desk writes its journal to
# the other folder: mount a volume there. A new volume takes over the permissions.
RUN mkdir -p /root-of-image/var/lib && mkdir -m 1777 /root-of-image/tmp /root-of-image/var/lib/qlik_exporter

# The image contains only the program: no shell, no package manager, and no CA
# certificates, because the program trusts only the root.pem of the Qlik Sense site.
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
# In PATH, for commands such as docker exec NAME qlik_exporter check.
COPY --from=build /qlik_exporter /bin/qlik_exporter

# A numeric user, so that Kubernetes can check runAsNonRoot.
USER 65532:65532
EXPOSE 9986
ENTRYPOINT ["/bin/qlik_exporter"]
