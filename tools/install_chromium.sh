#!/bin/sh
# Installs Debian's Chromium, the browser of the dashboard's tests, where it is missing.
# Does nothing when it is there; needs root or sudo when it is not.
set -eu

[ -x /usr/bin/chromium ] && exit 0

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

export DEBIAN_FRONTEND=noninteractive
as_root apt-get update -qq
as_root apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core
