# Mantlet's commands. `make` alone lists them.
#
# The demo and the tests install what they need (see tests/needs.sh); cargo is
# all that must be there before.

CARGO ?= cargo
TARGET := $(abspath $(or $(CARGO_TARGET_DIR),target))
SKIP_LOG := $(TARGET)/skips.txt

.DEFAULT_GOAL := help
.PHONY: help build demo test test-needs selftest fuzz fuzz-corpus lint fmt doc deny bench clean

help: ## Lists these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## Builds the two programs, optimised, into target/release
	$(CARGO) build --locked --release --bins

demo: ## Scans a small lab on this machine through an MCP client session
	@tests/needs.sh demo
	@$(CARGO) build --locked --quiet --bins
	@$(TARGET)/py/mcp-2/bin/python -B tests/demo/demo.py --binaries $(TARGET)/debug

test: test-needs ## Runs all tests; as root also those that need network namespaces
	@rm -f $(SKIP_LOG) && touch $(SKIP_LOG)
	$(CARGO) build --locked --workspace --bins
	$(CARGO) build --locked --package mantlet --example conformance
	$(CARGO) test --locked --workspace --doc --quiet
	@if $(CARGO) nextest --version >/dev/null 2>&1; then \
	  run="$(CARGO) nextest run --locked --workspace --config-file tests/nextest.toml"; \
	else \
	  run="$(CARGO) test --locked --workspace --lib --bins --tests -- --test-threads=2"; \
	fi; \
	echo "$$run"; MANTLET_SKIP_LOG=$(SKIP_LOG) $$run; code=$$?; \
	sort $(SKIP_LOG) | uniq -c; exit $$code

test-needs:
	@tests/needs.sh test

selftest: ## Tries to break out of each tool's sandbox; as root in system mode too
	$(CARGO) build --locked --quiet --package mantlet-executor
	@tests/selftest.sh $(TARGET)/debug/mantlet-executor

fuzz: ## Fuzzes vetting, profiles and frames: FUZZ_SECONDS each (60), or FUZZ_RUNS
	@tests/needs.sh fuzz
	@tests/fuzz/run.sh

fuzz-corpus: ## Makes the checked-in fuzz seeds anew
	@tests/needs.sh fuzz
	@tests/fuzz/run.sh --corpus

lint: ## Checks format, lints and documentation
	$(CARGO) fmt --all --check
	cd tests/fuzz && $(CARGO) fmt --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	cd tests/fuzz && CARGO_TARGET_DIR=$(TARGET)/fuzz $(CARGO) clippy --locked --release --lib --bins -- -D warnings
	RUSTDOCFLAGS="-D warnings -A rustdoc::private_intra_doc_links" $(CARGO) doc --locked --workspace --no-deps --document-private-items --quiet

fmt: ## Formats the code
	$(CARGO) fmt --all
	cd tests/fuzz && $(CARGO) fmt

doc: ## Builds the API documentation into target/doc
	$(CARGO) doc --locked --workspace --no-deps --document-private-items

deny: ## Checks licences, sources and duplicates of dependencies (needs cargo-deny)
	$(CARGO) deny --locked check -A license-exception-not-encountered licenses bans sources
	$(CARGO) deny --locked --manifest-path tests/fuzz/Cargo.toml --config deny.toml \
	  check -A unmatched-skip licenses bans sources

bench: test-needs ## Measures the confined start, calls, HTTP, streaming and memory; BENCH=http only HTTP
	$(CARGO) build --locked --release --bins
	$(CARGO) build --locked --release --package mantlet-executor --features bench --example confined_start
	$(CARGO) build --locked --release --package mantlet --example bare
	$(CARGO) bench --locked --package mantlet-tests --bench spine

clean: ## Removes all that was built
	$(CARGO) clean
