#!/bin/sh
# Creates the user of the service before the files are unpacked, because the folders of the
# settings belong to its group. The group may be left from an earlier installation.
set -e
if ! getent group qlik_exporter >/dev/null; then
  groupadd --system qlik_exporter
fi
if ! getent passwd qlik_exporter >/dev/null; then
  useradd --system --gid qlik_exporter --no-create-home --home-dir /var/lib/qlik_exporter \
    --shell /usr/sbin/nologin --comment "Prometheus exporter for Qlik Sense" qlik_exporter
fi
