#!/usr/bin/env bash
# Runs checks or tests and ends with one line, `N passed, N failed`. Exits non-zero when anything failed.
#
# Before that line stands the table of suites by host: what passed, what failed, and what did not run and why; and below it
# what tests counted (their lines that say `tally:`).
set -uo pipefail
cd "$(dirname "$0")/.."

passed=0
failed=0
log=$(mktemp)
table=$(mktemp)
tallies=$(mktemp)
trap 'rm -f "$log" "$table" "$tallies"' EXIT

# One check: passes when the command does.
check() {
  echo "== $*"
  if "$@"; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAILED: $*"; fi
}

# One suite on one host: `suite SUITE HOST COMMAND...`. Each test of cargo counts. A run that dies before it counts
# anything, that runs nothing or that ignores a test has failed.
suite() {
  local suite=$1 host=$2
  shift 2
  echo "== $suite, $host: $*"
  "$@" 2>&1 | tee "$log"
  local status=${PIPESTATUS[0]} ok bad ignored
  ok=$(awk '/^test result:/ { sum += $4 } END { print sum + 0 }' "$log")
  bad=$(awk '/^test result:/ { sum += $6 } END { print sum + 0 }' "$log")
  ignored=$(awk '/^test result:/ { sum += $8 } END { print sum + 0 }' "$log")
  if [ "$ignored" -ne 0 ]; then echo "FAILED: $ignored tests are ignored"; bad=$((bad + ignored)); fi
  if [ "$bad" -eq 0 ] && { [ "$status" -ne 0 ] || [ "$ok" -eq 0 ]; }; then bad=1; fi
  passed=$((passed + ok))
  failed=$((failed + bad))
  printf '%s|%s|%s|%s|\n' "$suite" "$host" "$ok" "$bad" >>"$table"
  sed -n "s/.*tally: /$host: /p" "$log" >>"$tallies"
}

# The table of suites, and what was counted.
show() {
  echo
  { echo "suite|host|passed|failed|"; cat "$table"; } | column -t -s '|'
  echo
  cat "$tallies"
  echo
}

# A suite that cannot run here, and why.
not_run() {
  printf '%s|%s|||not run: %s\n' "$1" "$2" "$3" >>"$table"
}

tests() { cargo test --locked --release --workspace "$@"; }
on() { local platform=$1; shift; SOUK_PLATFORM=$platform tests --no-fail-fast "$@"; }
in_full() { SOUK_PAIRS=10 "$@"; }
in_lattice() { (cd runtime/lattice && "$@"); }
# The failing disk is a workspace of its own, too.
in_disk() { (cd tests/disk && "$@"); }

# The failing disk is a file system of a program of ours, for which the kernel needs a device.
no_fuse="there is no /dev/fuse: load the kernel's module fuse, or give it to the container"

# How often the own host is killed, unless the environment says so, and on what: `kills TIMES PLATFORM`.
kills() { SOUK_KILLS=${SOUK_KILLS:-$1} on "$2" --test crash -- --nocapture; }

# How often data are deleted and restored, unless the environment says so.
drills() { SOUK_DRILLS=${SOUK_DRILLS:-$1} tests --test restore -- --nocapture; }

# How often the power is cut, how many calls lie between two that fail, and how many disks fail at once, unless the
# environment says so.
cuts_and_faults() {
  SOUK_POWER_CUTS=${SOUK_POWER_CUTS:-$1} SOUK_DISK_STRIDE=${SOUK_DISK_STRIDE:-$2} SOUK_DISKS=${SOUK_DISKS:-$3} \
    tests --no-fail-fast --test disk -- --nocapture --test-threads=1
}

# What is shown on Spin, or on what stands in for it: `on_spin PLATFORM HOST`.
on_spin() {
  suite "what is Spin's own" "$2" on "$1" --test spin
  suite journeys "$2" on "$1" --test journeys --test bad_input
  suite races "$2" on "$1" --test races
  suite crash "$2" on "$1" --test crash -- --nocapture
}

# Everybody wants the same thing at once: `race_on PLATFORM HOST`.
race_on() {
  suite races "$2" on "$1" --test races -- --nocapture
  suite pairs "$2" in_full on "$1" --test pairs -- --nocapture
}

# Format and lints.
tidy() {
  check cargo fmt --all --check
  check in_lattice cargo fmt --check
  check in_disk cargo fmt --check
  check cargo clippy --locked --release --workspace --all-targets -- -D warnings
  check in_disk cargo clippy --locked --release -- -D warnings
}

case "${1:-}" in
  check)
    tidy
    suite tidy "the repository" tests --test tidy
    ;;
  test)
    tidy
    # A workspace of its own that no other suite builds: what breaks it is told before the tests take their time.
    check runtime/lattice/setup.sh
    suite units "native" tests --no-fail-fast --lib --bins \
      --test compose --test faults --test lifecycle --test links --test outage
    suite tidy "the repository" tests --test tidy --test worlds --test wadm
    suite simulation "simulated hosts" tests --test simulation
    check tests/providers/setup.sh
    suite providers "simulators" tests --no-fail-fast --test sdks --test connector --test paypal --test localstripe
    suite providers "own host, SQLite" on sqlite --test providers
    suite figures "own host, SQLite" on sqlite --test figures -- --nocapture --test-threads=1
    suite ports "test ports" tests --test ports -- kit::
    suite ports "own host, SQLite" tests --test ports -- own_host_on_sqlite::
    suite ports "own host, Postgres" tests --test ports -- own_host_on_postgres::
    suite journeys "own host, SQLite" on sqlite --test journeys --test bad_input
    suite journeys "own host, Postgres" on postgres --test journeys --test bad_input
    suite journeys "own host, Postgres, 3 replicas" on postgres-3 --test journeys --test bad_input
    suite pages "own host, SQLite, and Chromium" on sqlite --test chromium -- --test-threads=1
    suite operating "own host, SQLite" on sqlite --test host
    suite operating "own host, Postgres" tests --test postgres_away
    suite races "own host, SQLite" on sqlite --test races
    suite pairs "own host, SQLite" on sqlite --test pairs
    suite races "own host, Postgres, 3 replicas" on postgres-3 --test races
    suite crash "own host, SQLite" on sqlite --test crash -- --nocapture
    suite crash "own host, Postgres, 3 replicas" on postgres-3 --test crash -- --nocapture
    suite "restore drill" "own host, SQLite" drills 1
    if [ -e /dev/fuse ]; then
      check in_disk cargo build --locked --release
      suite "failing disk" "own host, SQLite" tests --test disk -- --nocapture
    else
      not_run "failing disk" "own host, SQLite" "$no_fuse"
    fi
    suite ports "Spin adapter" tests --test ports_spin --test http_out
    on_spin spin-stand-in "stand-ins for Spin"
    if type -P spin >/dev/null; then
      suite ports "spin up" tests --test ports_spin_up
      on_spin spin "spin up"
    else
      not_run ports "spin up" "spin is not on the PATH"
      not_run "the same" "spin up" "spin is not on the PATH"
    fi
    suite ports "lattice" in_lattice cargo test --locked --no-fail-fast
    suite journeys "lattice" on lattice --test journeys --test bad_input
    suite races "lattice" on lattice --test races
    suite crash "lattice" on lattice --test crash -- --nocapture
    suite "what is a lattice's own" "lattice" tests --test lattice -- --nocapture
    show
    ;;
  races)
    race_on sqlite "own host, SQLite"
    race_on postgres "own host, Postgres"
    race_on postgres-3 "own host, Postgres, 3 replicas"
    race_on spin-stand-in "stand-ins for Spin"
    if type -P spin >/dev/null; then race_on spin "spin up"; else not_run races "spin up" "spin is not on the PATH"; fi
    check runtime/lattice/setup.sh
    race_on lattice "lattice"
    show
    ;;
  fuse)
    [ -e /dev/fuse ] || { echo "$no_fuse" >&2; exit 1; }
    exit
    ;;
  crash)
    suite crash "own host, SQLite" kills 100 sqlite
    suite crash "own host, Postgres, 3 replicas" kills 50 postgres-3
    suite "restore drill" "own host, SQLite" drills 10
    check in_disk cargo build --locked --release
    suite "failing disk" "own host, SQLite" cuts_and_faults 20 1 16
    show
    ;;
  *) echo "usage: verify.sh check|test|races|fuse|crash" >&2; exit 2 ;;
esac

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
