#!/usr/bin/env bash
# Composes every component of wadm.yaml into target/lattice/images, and writes a copy of wadm.yaml beside them whose images are
# those files: for a lattice without a registry (`wash app deploy target/lattice/wadm.yaml`, hosts with --allow-file-load).
set -euo pipefail
cd "$(dirname "$0")/../.."
images=$PWD/target/lattice/images
built=target/wasm32-unknown-unknown/component
mkdir -p "$images"

# Services meet over links, and their rows, values and hashes are links too; what else they import is in every host.
for name in $(awk '/^ +- name: / { name = $3 } /^ +type: component/ { print name }' wadm.yaml); do
  if [ "$name" = passwords ]; then
    cp "$built/souk_adapter_passwords.wasm" "$images/$name.wasm"
    continue
  fi
  network=()
  case $name in
    stripe | paypal) network=(--allow wasi:http/ --allow wasi:io/ --allow wasi:clocks/monotonic-clock@) ;;
  esac
  target/release/souk compose "$name" -o "$images/$name.wasm" \
    --adapter "$built/souk_adapter_wasmcloud_config.wasm" --adapter "$built/souk_adapter_wasmcloud_log.wasm" \
    --adapter "$built/souk_adapter_http_out.wasm" "${network[@]}" \
    --allow wasi:clocks/wall-clock@ --allow wasi:random/random@ --allow wasi:config/store@ --allow wasi:logging/logging@ \
    --allow souk:shop/sql@ --allow souk:shop/kv@ --allow souk:shop/passwords@
done
sed -E -e "s#127\.0\.0\.1:5000/souk/(souk-[a-z]+):.*#file://$images/\1.par#" \
  -e "s#127\.0\.0\.1:5000/souk/([a-z-]+):.*#file://$images/\1.wasm#" wadm.yaml > target/lattice/wadm.yaml
