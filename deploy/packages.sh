#!/usr/bin/env bash
# Builds the files of a release of the checked-out commit into dist/packages: the deb, rpm
# and MSI packages, an archive for each system, and sha256sums.txt:
#
#   deploy/packages.sh [VERSION]
#
# Needs Go, git and zip, and Debian's wixl and msitools for the MSI.
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

# archive packs the program for one system with the documents. The same commit gives the
# same archive: the times and the owners of the files do not depend on this machine.
archive() { # GOOS GOARCH
  local name=qlik_exporter-$version.$1-$2
  local folder=$stage/$name archive=$PWD/dist/packages/$name
  build "$1" "$2" "$folder/qlik_exporter$([[ $1 != windows ]] || echo .exe)"
  cp --parents LICENSE THIRD_PARTY_NOTICES README.md CHANGELOG.md docs/*.md deploy/systemd/{flags,qlik_exporter.service} "$folder"
  find "$folder" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
  if [[ $1 == windows ]]; then
    (cd $stage && find "$name" -type f | sort | TZ=UTC zip -9Xq "$archive.zip" -@)
  else
    tar --create --sort=name --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX --directory=$stage "$name" | gzip -9n >"$archive.tar.gz"
  fi
}

# The output of the program is the same on all platforms.
build "$(go env GOHOSTOS)" "$(go env GOHOSTARCH)" $stage/qlik_exporter
$stage/qlik_exporter assets $stage/assets
rm $stage/assets/.qlik_exporter.manifest # the package manager replaces these files
for shell in bash zsh fish; do
  $stage/qlik_exporter completion $shell >$stage/completion.$shell
done
# --help-man prints the --version text before the first section, which is not a valid
# title. Backslashes in help texts must be escaped.
{
  printf '.TH qlik_exporter 1 "" "%s"\n' "$version"
  $stage/qlik_exporter --help-man | sed -n '/^\.SH "NAME"/,$p' |
    perl -pe 's/\\(?!f[BIR])/\\e/g; s/^(qlik_exporter)$/$1 \\- Prometheus exporter for Qlik Sense/'
} | gzip -9n >$stage/qlik_exporter.1.gz

(cd tools/nfpm && CGO_ENABLED=0 go build -o ../../$stage/nfpm github.com/goreleaser/nfpm/v2/cmd/nfpm)
for arch in amd64 arm64; do
  for system in linux windows darwin; do
    archive $system $arch
  done
  mkdir $stage/$arch
  cp -p $stage/qlik_exporter-"$version".linux-$arch/qlik_exporter $stage/$arch/
  for packager in deb rpm; do
    GOARCH=$arch $stage/nfpm package --config deploy/nfpm.yaml --packager $packager --target dist/packages/
  done
done

# wixl does not support arm64, but Windows on arm64 runs programs for amd64.
cp -p $stage/qlik_exporter-"$version".windows-amd64/qlik_exporter.exe $stage/
msi=dist/packages/qlik_exporter-$version-amd64.msi
deploy/windows/msi.sh "${version%%[-+]*}" "$msi"
rm -rf dist/winget
deploy/windows/winget.sh "$version" "$msi" dist/winget

(cd dist/packages && sha256sum -- * >sha256sums.txt)
ls -l dist/packages
