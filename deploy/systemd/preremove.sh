#!/bin/sh
# dpkg says "remove", rpm the number of versions that stay.
set -e
case "$1" in
remove | 0)
  if [ -d /run/systemd/system ]; then
    systemctl stop qlik_exporter.service
  fi
  if command -v systemctl >/dev/null; then
    systemctl disable qlik_exporter.service
  fi
  ;;
esac
