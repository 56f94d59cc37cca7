#!/usr/bin/env bash
# Serves the sample shop until ctrl-c: run.sh SOUK LISTEN DATA
set -euo pipefail
cd "$(dirname "$0")/.."
souk=$1 listen=$2 data=$3
url="http://$listen"
mkdir -p "$data"

SPIN_VARIABLE_PUBLIC_URL="$url" "$souk" up --listen "$listen" --data "$data" --log warn &
server=$!
trap 'kill -TERM $server 2>/dev/null; wait $server' INT TERM EXIT

# Ready within a minute even when every component is compiled first.
for _ in $(seq 600); do
  if curl -sf -o /dev/null "$url/readyz"; then ready=yes; break; fi
  kill -0 $server 2>/dev/null || { wait $server; exit 1; }
  sleep 0.1
done
[ "${ready:-}" = yes ] || { echo "the server is not ready after a minute" >&2; exit 1; }

"$souk" seed sample/shop.jsonl --url "$url" --secrets "$data/secrets.toml"
cat <<TEXT

  shop       $url/
  mailbox    $url/dev/mailbox
  API        $url/api/docs
  staff      staff@souk.example   bazaar-morning-42
  data       $data

TEXT
wait $server
