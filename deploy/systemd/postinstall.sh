#!/bin/sh
# After an installation, the service is not started, because it needs settings first.
# After an upgrade, it is restarted if it was running. A service that does not start must not
# make the installation fail.
set -e
if [ -d /run/systemd/system ]; then
  systemctl daemon-reload
  systemctl try-restart qlik_exporter.service || true
fi
