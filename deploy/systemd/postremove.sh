#!/bin/sh
# dpkg says "purge" when settings shall go, too: the key among them.
set -e
if [ -d /run/systemd/system ]; then
  systemctl daemon-reload
fi
if [ "$1" = purge ]; then
  rm -rf /etc/qlik_exporter
fi
