# The verbs. `make run` and `make test` are all that a fresh machine needs.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := run

SOUK := target/release/souk
# Checkouts that `make sim` makes, and how many of its random worlds run twice.
CHECKOUTS ?= 1000000
TWICE ?= 1000
LISTEN ?= 127.0.0.1:3000
DATA ?= .souk

.PHONY: setup components build composites run spin lattice check test races sim figures mutants fuse crash bench golden

# Installs what a fresh Debian machine lacks: the Rust target and the packages that builds and tests call.
setup:
	@tests/setup.sh

# Every component, as a .wasm file, and the one that tests reach ports through.
components: setup
	cargo build --locked --profile component --target wasm32-unknown-unknown $(patsubst components/%/Cargo.toml,-p souk-%,$(filter-out components/kit/%,$(wildcard components/*/Cargo.toml))) -p souk-probe

# The components, the host and the simulators of payment providers. All of the workspace is named, here and where tests
# are run: features are those of what is named, and a second set of them is a second build of most libraries.
build: components
	cargo build --locked --release --workspace --bin souk --bin souk-test-provider

# The sample shop, served until ctrl-c.
run: build
	@tests/run.sh "$(SOUK)" "$(LISTEN)" "$(DATA)"

# A wasmCloud lattice on this machine, until ctrl-c; what it prints says how to put the shop on it.
lattice: build
	@runtime/lattice/setup.sh wash
	@target/lattice/debug/souk-lattice up

# Components put together for Spin.
composites: build
	@tests/spin.sh compose "$(SOUK)"

# What `spin up` needs: the composites, tables, secrets and the sample shop.
spin: composites
	@tests/spin.sh shop "$(SOUK)"

# Format, lints, tidiness.
check: setup
	@tests/verify.sh check

# Everything that a change must pass.
test: composites
	@tests/verify.sh test

# Every two requests that move stock, money or identity, at once, on every host.
races: composites
	@tests/verify.sh races

# The shop under seeded faults: every fault at every step, and random worlds. `make sim SEED=7` shows one world.
sim: components
	cargo build --locked --release --workspace --bin sim
	target/release/sim $(if $(SEED),--run '$(SEED) storm' --trace,--checkouts $(CHECKOUTS) --twice $(TWICE))

# Figures about money: webhooks, signatures, double submits, refunds, outages. About twenty minutes; a line for each.
figures: build
	@tests/providers/setup.sh
	FIGURES_PERCENT=100 cargo test --locked --release --workspace --test figures -- --nocapture --test-threads=1

# Faults put into the code on purpose, one after another: each must be noticed by the simulation or by tests.
# `make mutants ONLY=refund` tries those with that word in their name or file.
mutants: setup
	cargo build --locked --release --workspace --bin sim --bin mutants
	target/release/mutants --only '$(ONLY)'

# What the failing disk of tests is mounted with.
fuse:
	@tests/verify.sh fuse

# Kills, restores, power cuts and failing disks in full: 100 kills on SQLite, 50 of a replica and Postgres, 10 restores of
# deleted data, 20 power cuts, and each write and flush of a few checkouts failed once. Parts of it run in `make test`.
crash: fuse composites
	@tests/verify.sh crash

# Ratios against a native program in the same run; also in target/bench.json.
bench: composites
	cargo build --locked --release --workspace --bins
	target/release/bench

# Rewrites the golden files. Read the diff before committing it.
golden: build
	UPDATE_GOLDEN=1 cargo test --locked --release --workspace --lib
