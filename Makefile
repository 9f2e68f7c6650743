# Every command a person types. `make` alone lists them.
#
# Nothing is built or downloaded into the checkout: everything goes to $(CACHE).
CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/bigchaindb-k8s

# Builds made here use everything this machine's processor can do: checking a signature takes half the time with
# AVX-512 IFMA. A plain `cargo build` stays portable. The target folder is named after the processor's features, so
# a cache that moves to another machine is never run there.
RUSTFLAGS ?= -C target-cpu=native
CPU := $(shell rustc --print cfg -C target-cpu=native 2>/dev/null | sort | cksum | cut -d' ' -f1)
CARGO_TARGET_DIR ?= $(CACHE)/target/$(CPU)
export CACHE RUSTFLAGS CARGO_TARGET_DIR

BIGCHAINDB = $(CARGO_TARGET_DIR)/release/bigchaindb

.DEFAULT_GOAL := help
.PHONY: help build demo demo-node test test-interop test-mongod check bench bench-mongodb fuzz crash soak sim docs generate images cluster-up cluster-down

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo "  Caches and builds: $(CACHE)"

build: needs-rust ## build the release binaries for this machine's processor
	@echo "==> Building bigchaindb, bigchaindb-operator, and the demo's stand-in for mongod (release; the first time takes some minutes)"
	cargo build --release --locked --workspace --bins
	@echo "==> Built $(BIGCHAINDB) and bigchaindb-operator beside it"

demo: build ## a node on Kubernetes, here (as root) or where KUBECONFIG says: apply it, transact through its gateway
	@scripts/demo "$(CARGO_TARGET_DIR)/release"

demo-node: build ## a node without Kubernetes: start it, create and transfer an asset over HTTP
	@scripts/demo-node "$(BIGCHAINDB)"

test: needs-rust ## run every test (the driver's need Python 3.6, else they are skipped)
	@scripts/test

test-interop: build ## run a node beside nodes of BigchainDB Server 1.0.1, then replace those (needs Python 3.6)
	@scripts/secantus
	@tests/interop/run "$(BIGCHAINDB)"

test-mongod: needs-rust ## what the tests expect of a mongod, asked of their stand-in; MONGOD=program asks a real one
ifndef MONGOD
	@scripts/secantus
endif
	cargo test --workspace --locked --test server

check: needs-rust ## formatting, lints, API docs, licences, generated pages, links
	@scripts/check

bench: build ## measure this machine: accepted and valid transactions per second, latencies
	"$(BIGCHAINDB)" bench

bench-mongodb: build ## measure a node on MongoDB, and BigchainDB Server 1.0.1 beside it (needs Python 3.6)
	@scripts/secantus
	@scripts/bench-mongodb "$(BIGCHAINDB)"

fuzz: needs-rust ## a million random inputs for each parser, signatures against libsodium, malformed requests
	@scripts/fuzz

crash: needs-rust ## cut the store's power at 10,000 points, kill -9 a loaded node 1,000 times: is anything lost?
	@scripts/crash

soak: build ## the operator's end-to-end test, with ten idle minutes in which the operator must write nothing (as root)
	@IDLE_SECONDS=600 tests/cluster/operator "$(CARGO_TARGET_DIR)/release"

sim: needs-rust ## SEEDS=100000 schedules of a simulated federation, new ones each time: is any promise broken?
	@scripts/simulate $(SEEDS)

docs: ## build the book
	@scripts/tools
	"$(CACHE)/tools/bin/mdbook" build docs --dest-dir "$(CACHE)/book"
	@echo "==> Open $(CACHE)/book/index.html"

generate: needs-rust ## write the generated pages of docs/reference, and crds/, anew
	REGENERATE=1 cargo test --workspace --locked --test reference
	REGENERATE=1 cargo test --workspace --locked --test crds files_are

# Those for a registry run on other processors than this machine's.
ifdef IMAGE_REGISTRY
demo images: RUSTFLAGS =
demo images: CARGO_TARGET_DIR = $(CACHE)/target/portable
endif
images: build ## build the container images; with IMAGE_REGISTRY=registry.example.com/team push them there
	@k8s/images/build "$(CARGO_TARGET_DIR)/release"

cluster-up: ## start a Kubernetes of two nodes on this machine (as root); unless KUBECONFIG names yours
ifdef KUBECONFIG
	@echo "==> KUBECONFIG is set: that cluster is used, none is started"
	@echo "$(KUBECONFIG)"
else
	@k8s/local/up
endif

cluster-down: ## end it, and remove all of it
	@k8s/local/down

.PHONY: needs-rust
needs-rust:
	@scripts/needs-rust
