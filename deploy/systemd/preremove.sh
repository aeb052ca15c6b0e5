#!/bin/sh
# dpkg passes "remove"; rpm passes the number of versions that remain.
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
