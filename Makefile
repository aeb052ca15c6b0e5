# The output of --version. It depends only on git, not on the build machine, so that
# the same checkout produces the same binary everywhere.
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
REVISION ?= $(shell git rev-parse --verify -q HEAD 2>/dev/null)
BRANCH   ?= $(shell git symbolic-ref --short -q HEAD 2>/dev/null)
DATE     ?= $(shell TZ=UTC git log -1 --format=%cd --date=iso-strict-local 2>/dev/null)

PKG     := github.com/prometheus/common/version
LDFLAGS := -s -w \
	-X $(PKG).Version=$(patsubst v%,%,$(VERSION)) \
	-X $(PKG).Revision=$(REVISION) \
	-X $(PKG).Branch=$(BRANCH) \
	-X $(PKG).BuildDate=$(DATE)

# GOOS=windows make build writes qlik_exporter.exe.
BINARY := qlik_exporter$(shell go env GOEXE)

GOLANGCI_LINT ?= golangci-lint

.DEFAULT_GOAL := help

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "%-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build one static binary for GOOS and GOARCH
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o $(BINARY) .

.PHONY: test
test: ## Run the tests
	go test ./...

.PHONY: race
race: ## Run the tests in random order under the race detector (needs a C compiler)
	CGO_ENABLED=1 go test -race -shuffle=on ./...

.PHONY: bench
bench: build ## Measure the program and its parts (takes half an hour; Linux only)
	cd e2e && go run ./bench -exporter ../$(BINARY)
	go test -run '^$$' -bench . ./...

.PHONY: lint
lint: ## Run golangci-lint (v2.15.0)
	$(GOLANGCI_LINT) run ./...

.PHONY: format
format: ## Format the Go code
	$(GOLANGCI_LINT) fmt

.PHONY: chart
chart: ## Copy rules and dashboards into the Helm chart, which cannot read files outside it
	cp alerts/qlik.rules.yml dashboards/*.json deploy/kubernetes/qlik-exporter/files/

.PHONY: notices
notices: ## Write the licenses of all linked code to THIRD_PARTY_NOTICES
	go run ./tools/notices

.PHONY: packages
packages: ## Build the deb, rpm and MSI packages into dist/packages (needs wixl and msitools)
	deploy/packages.sh

.PHONY: demo
demo: build ## Run the exporter with a simulated Qlik Sense site
	./$(BINARY) demo

.PHONY: clean
clean: ## Remove build results
	rm -rf qlik_exporter qlik_exporter.exe dist
