#!/bin/sh
# Installs what `cargo bench --bench chain` measures beside mtls-bridge: Debian's nginx, HAProxy and
# stunnel. The packages start services of their own on some systems; the benchmark does not use them.
set -eu
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }
as_root apt-get update -qq
as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends nginx haproxy stunnel4
