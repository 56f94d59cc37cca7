#!/usr/bin/env bash
# Puts the shop in place for Spin.
#   spin.sh compose SOUK   the composites, target/spin/*.wasm, made anew
#   spin.sh shop SOUK      what `spin up` finds beside them: `.spin` with tables, secrets and the sample shop, and `.env`, which
#                          Spin reads its variables from. A shop that is there is brought up to date, and a line that is
#                          there stays.
set -euo pipefail
cd "$(dirname "$0")/.."
verb=$1 souk=$2
adapters=target/wasm32-unknown-unknown/component state=.spin database=.spin/sqlite_db.db

case "$verb" in
  compose)
    for edge in gateway storefront test-payments mailbox drain; do
      "$souk" compose "$edge" --follow --output "target/spin/$edge.wasm" \
        --adapter $adapters/souk_adapter_spin.wasm --adapter $adapters/souk_adapter_passwords.wasm \
        --adapter $adapters/souk_adapter_http_out.wasm \
        --edge $adapters/souk_adapter_wasi_http.wasm \
        --allow wasi:clocks/ --allow wasi:random/ --allow wasi:io/ --allow wasi:cli/stderr@ --allow wasi:http/ \
        --allow spin:sqlite/ --allow fermyon:spin/variables@
    done
    exit
    ;;
  shop) ;;
  *) echo "usage: spin.sh compose|shop SOUK" >&2; exit 2 ;;
esac

[ -e $database ] || sample=yes
"$souk" migrate --data $state --database $database

umask 077
touch .env
while IFS= read -r line; do
  grep -q "^${line%%=*}=" .env || echo "$line" >> .env
done < <(sed -E 's/^([a-z_]+) = (.*)$/SPIN_VARIABLE_\U\1\E=\2/' $state/secrets.toml)

if [ -n "${sample:-}" ]; then
  # Half a sample is none: the next run begins again.
  log=$(mktemp) server=
  trap 'status=$?; [ -z "$server" ] || kill -TERM $server 2>/dev/null || true; rm -f "$log"; [ $status = 0 ] || rm -f $database*; exit $status' EXIT
  "$souk" up --data $state --database $database --listen 127.0.0.1:0 --private 127.0.0.1:0 --log error 2> "$log" &
  server=$!
  for _ in $(seq 600); do
    url=$(grep -o 'http://[0-9.:]*' "$log" | head -n 1) && curl -sf -o /dev/null "$url/readyz" && break
    kill -0 $server 2>/dev/null || { cat "$log" >&2; exit 1; }
    sleep 0.1
  done
  "$souk" seed sample/shop.jsonl --url "$url" --secrets $state/secrets.toml
  kill -TERM $server
  wait $server
fi

cat <<TEXT

  spin up      serves the shop at http://127.0.0.1:3000/
  staff        staff@souk.example   bazaar-morning-42   (sample shop)
  secrets      .env
  events       * * * * * curl -fsS -X POST -H "authorization: Bearer \$TOKEN" http://127.0.0.1:3000/souk/drain

TEXT
