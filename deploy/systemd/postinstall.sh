#!/bin/sh
# After an installation the service waits for its settings; after an upgrade it
# runs on, if it ran.
set -e
if [ -d /run/systemd/system ]; then
  systemctl daemon-reload
  systemctl try-restart qlik_exporter.service
fi
