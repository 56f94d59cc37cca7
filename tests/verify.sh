#!/usr/bin/env bash
# Runs checks or tests and ends with one line, `N passed, N failed`. Exits non-zero when anything failed.
set -uo pipefail
cd "$(dirname "$0")/.."

passed=0
failed=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# One check: passes when the command does.
check() {
  echo "== $*"
  if "$@"; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAILED: $*"; fi
}

# Tests of cargo: each test counts. A run that dies before it counts anything is one failure.
tests() {
  echo "== $*"
  "$@" 2>&1 | tee "$log"
  local status=${PIPESTATUS[0]}
  local ok bad
  ok=$(awk '/^test result:/ { sum += $4 } END { print sum + 0 }' "$log")
  bad=$(awk '/^test result:/ { sum += $6 } END { print sum + 0 }' "$log")
  ignored=$(awk '/^test result:/ { sum += $8 } END { print sum + 0 }' "$log")
  if [ "$status" -ne 0 ] && [ "$bad" -eq 0 ]; then bad=1; fi
  if [ "$ignored" -ne 0 ]; then echo "FAILED: $ignored tests are ignored"; bad=$((bad + ignored)); fi
  passed=$((passed + ok))
  failed=$((failed + bad))
}

check cargo fmt --all --check
check cargo clippy --locked --release --workspace --all-targets -- -D warnings
case "${1:-}" in
  check) tests cargo test --locked --release -p souk-tests --test tidy ;;
  test) tests cargo test --locked --release --workspace --no-fail-fast ;;
  *) echo "usage: verify.sh check|test" >&2; exit 2 ;;
esac

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
