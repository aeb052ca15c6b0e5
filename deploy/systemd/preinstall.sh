#!/bin/sh
# Creates the user of the service before the files are unpacked, because the folders of the
# settings belong to its group.
set -e
if ! getent passwd qlik_exporter >/dev/null; then
  useradd --system --user-group --no-create-home --home-dir /var/lib/qlik_exporter \
    --shell /usr/sbin/nologin --comment "Prometheus exporter for Qlik Sense" qlik_exporter
fi
