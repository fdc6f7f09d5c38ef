#!/bin/bash
# Makes the image named $1 from this machine's Rust toolchain, C compiler and downloaded crates: what
# the image `rust` of a registry is to compose/Dockerfile where no registry can be reached. Debian only.
set -euo pipefail
lists=$(mktemp -d)
trap 'rm -rf "$lists"' EXIT

packages=$(apt-cache depends --recurse --installed --no-recommends --no-suggests --no-conflicts \
    --no-breaks --no-replaces --no-enhances gcc libc6-dev coreutils sed dash | grep '^[a-z]' | sort -u)
# shellcheck disable=SC2086
dpkg -L $packages | sort -u | grep -v '^/usr/share/' | while read -r path; do
    [ -d "$path" ] || echo "${path#/}"
done > "$lists/files"
# The image needs no `merged /usr` links: every path is there under the name its package gives it.
printf '%s\n' usr/bin/cc etc/ssl/certs/ca-certificates.crt >> "$lists/files"

toolchain=$(rustc --print sysroot)
tar --create --dereference --hard-dereference --directory / --files-from "$lists/files" \
    --ignore-failed-read --warning=no-failed-read \
    --file "$lists/image.tar"
tar --append --file "$lists/image.tar" --directory "$toolchain" --transform 's,^,usr/local/,' \
    --exclude='lib/rustlib/src' bin/cargo bin/rustc lib
tar --append --file "$lists/image.tar" --directory "${CARGO_HOME:-$HOME/.cargo}" \
    --transform 's,^,usr/local/cargo/,' registry/index registry/cache
docker import \
    --change 'ENV PATH=/usr/local/bin:/usr/bin:/bin CARGO_HOME=/usr/local/cargo CARGO_NET_OFFLINE=true' \
    "$lists/image.tar" "$1" > /dev/null
