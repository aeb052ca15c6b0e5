#!/usr/bin/env bash
# Writes the winget manifests for an MSI to a folder:
#
#   deploy/windows/winget.sh VERSION FILE.msi FOLDER
#
# A release submits them to microsoft/winget-pkgs. Needs Debian's msitools.
set -euo pipefail

version=$1 msi=$2 folder=$3
property() { msiinfo export "$msi" Property | tr -d '\r' | sed -n "s/^$1\t//p"; }
hash=$(sha256sum "$msi" | cut -d' ' -f1)
date=$(date -u -d "@${SOURCE_DATE_EPOCH:-$(date +%s)}" +%F)

mkdir -p "$folder"
for manifest in "$(dirname "$0")"/winget/*.yaml; do
  sed "s/VERSION/$version/g; s/FILE/$(basename "$msi")/; s/HASH/${hash^^}/; s/DATE/$date/
    s/PRODUCT_CODE/$(property ProductCode)/; s/UPGRADE_CODE/$(property UpgradeCode)/" \
    "$manifest" >"$folder/$(basename "$manifest")"
done
