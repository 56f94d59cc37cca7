#!/usr/bin/env bash
# Calls rustc. wasmcloud-host 0.27.1 as it was published overflows the query depth limit of rustc 1.95: that one
# crate is compiled with a higher limit, which only a compiler in bootstrap mode takes from the command line.
if [[ " $* " == *" --crate-name wasmcloud_host "* ]]; then
  RUSTC_BOOTSTRAP=1 exec "$@" '-Zcrate-attr=recursion_limit="512"'
fi
exec "$@"
