#!/usr/bin/env bash
# Builds the deb, rpm and MSI packages of the checked-out commit into dist/packages:
#
#   deploy/packages.sh [VERSION]
#
# Needs Go and git, and Debian's wixl and msitools for the MSI.
set -euo pipefail
cd "$(dirname "$0")/.."

version=${1:-$(git describe --tags --always)}
version=${version#v}
if [[ ! $version =~ ^[0-9]+\.[0-9]+\.[0-9]+ ]]; then
  version=0.0.0-$version # no tag yet
fi
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH VERSION=$version

stage=dist/stage
rm -rf $stage dist/packages
mkdir -p $stage dist/packages

build() { # GOOS GOARCH FILE
  GOOS=$1 GOARCH=$2 make --no-print-directory build BINARY="$3"
}

# The output of the program is the same on all platforms.
build "$(go env GOHOSTOS)" "$(go env GOHOSTARCH)" $stage/qlik_exporter
$stage/qlik_exporter assets $stage/assets
rm $stage/assets/.qlik_exporter.manifest # the package manager replaces these files
$stage/qlik_exporter --completion-script-bash >$stage/completion.bash
$stage/qlik_exporter --completion-script-zsh >$stage/completion.zsh
# --help-man prints the --version text before the first section, which is not a valid
# title. Backslashes in help texts must be escaped.
{
  printf '.TH qlik_exporter 1 "" "%s"\n' "$version"
  $stage/qlik_exporter --help-man | sed -n '/^\.SH "NAME"/,$p' |
    perl -pe 's/\\(?!f[BIR])/\\e/g; s/^(qlik_exporter)$/$1 \\- Prometheus exporter for Qlik Sense/'
} | gzip -9n >$stage/qlik_exporter.1.gz

(cd tools/nfpm && CGO_ENABLED=0 go build -o ../../$stage/nfpm github.com/goreleaser/nfpm/v2/cmd/nfpm)
for arch in amd64 arm64; do
  build linux $arch $stage/$arch/qlik_exporter
  for packager in deb rpm; do
    GOARCH=$arch $stage/nfpm package --config deploy/nfpm.yaml --packager $packager --target dist/packages/
  done
done

# wixl does not support arm64, but Windows on arm64 runs programs for amd64.
build windows amd64 $stage/qlik_exporter.exe
msi=dist/packages/qlik_exporter-$version-amd64.msi
deploy/windows/msi.sh "${version%%[-+]*}" "$msi"
rm -rf dist/winget
deploy/windows/winget.sh "$version" "$msi" dist/winget

ls -l dist/packages
