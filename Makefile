# Tandem. `make help` lists the targets.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

TANDEM_CACHE ?= $(HOME)/.cache/tandem
export TANDEM_CACHE
export CARGO_TARGET_DIR ?= $(TANDEM_CACHE)/target
BIN := $(CARGO_TARGET_DIR)/release
TOOLS := $(TANDEM_CACHE)/tools
CARGO_DENY_VERSION := 0.20.2
INVENTORY ?= tests/data/bozhou/inventory.csv
LAB ?= $(CURDIR)/.lab
SUDO := $(shell [ "$$(id -u)" -eq 0 ] || echo sudo --preserve-env=TANDEM_CACHE,TANDEM_KUBE_BIN,KUBEBUILDER_ASSETS,PATH)

# What the build, and what the lab, need of Debian. A kubectl that is there already, from wherever, is left alone.
BUILD_PACKAGES := gcc make protobuf-compiler libprotobuf-dev
LAB_PACKAGES := etcd-server etcd-client iproute2 nftables util-linux

define say
@printf '\033[1m==> %s\033[0m\n' "$(1)"
endef

.PHONY: help
help: ## list the targets
	@printf 'Tandem: two data centres, one city.\n\n'
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16
	@printf '\nSettings: INVENTORY=%s LAB=%s TANDEM_CACHE=%s TANDEM_KUBE_BIN=%s\n' \
		'$(INVENTORY)' '$(LAB)' '$(TANDEM_CACHE)' "$${TANDEM_KUBE_BIN:-(built from Debian's source package)}"

.PHONY: up
up: programs control-plane ## start two data centres with the city's agencies in them
	$(call say,starting the lab in $(LAB) and importing $(INVENTORY))
	@$(SUDO) $(BIN)/tandem-lab up --dir $(LAB) --import $(INVENTORY)

.PHONY: status
status: ## show the lab's places, programs and faults
	@$(SUDO) $(BIN)/tandem-lab status --dir $(LAB)

.PHONY: down
down: ## stop the lab and remove all that it made
	$(call say,stopping the lab in $(LAB))
	@$(SUDO) $(BIN)/tandem-lab down --dir $(LAB)

.PHONY: build-packages
build-packages:
	@scripts/ensure-packages $(BUILD_PACKAGES)

.PHONY: lab-packages
lab-packages:
	@scripts/ensure-packages $(LAB_PACKAGES) $(if $(shell command -v kubectl),,kubernetes-client)

.PHONY: programs
programs: build-packages ## build tandem, tandem-operator and tandem-lab
	$(call say,building the programs into $(BIN))
	@cargo build --release --locked -p tandem-cli -p tandem-operator -p tandem-lab

.PHONY: control-plane
control-plane: lab-packages ## build the Kubernetes control plane, once (about 5 minutes)
	@if [ -z "$${TANDEM_KUBE_BIN:-}$${KUBEBUILDER_ASSETS:-}" ]; then lab/control-plane/build.sh; fi

.PHONY: check
check: build-packages fmt-check clippy deny doc generated structure ## everything that is checked without running Tandem

.PHONY: fmt-check
fmt-check:
	$(call say,format)
	@cargo fmt --all --check

.PHONY: clippy
clippy: build-packages
	$(call say,clippy, warnings denied)
	@cargo clippy --workspace --all-targets --locked -- -D warnings

$(TOOLS)/bin/cargo-deny:
	$(call say,installing cargo-deny $(CARGO_DENY_VERSION))
	@cargo install cargo-deny --locked --version $(CARGO_DENY_VERSION) --root $(TOOLS)

.PHONY: deny
deny: $(TOOLS)/bin/cargo-deny
	$(call say,dependencies: bans, licences, sources)
	@$(TOOLS)/bin/cargo-deny --locked check bans licenses sources

.PHONY: doc
doc: build-packages
	$(call say,documentation, warnings denied)
	@RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps --locked --quiet

.PHONY: generate
generate: ## write the generated files again
	$(call say,writing the CustomResourceDefinitions)
	@cargo run --quiet --locked -p tandem-crds --bin crdgen -- crds/generated

.PHONY: generated
generated: build-packages
	$(call say,generated files are up to date)
	@cargo run --quiet --locked -p tandem-crds --bin crdgen -- --check crds/generated
	@python3 tests/data/bozhou/generate.py --check

.PHONY: structure
structure: build-packages
	$(call say,crate directions are as drawn)
	@cargo test --quiet --locked -p tandem-tests --test structure

.PHONY: test
test: programs control-plane ## all tests: units, properties, and end to end on the lab (needs root)
	$(call say,unit and property tests)
	@cargo test --workspace --locked --exclude tandem-tests --exclude tandem-lab
	@cargo test --locked -p tandem-lab --lib --bins
	$(call say,tests on the lab: its life, then the city)
	@cargo test --locked -p tandem-lab --test lifecycle -- --nocapture --test-threads 1
	@TANDEM_BIN=$(BIN) cargo test --locked -p tandem-tests --test e2e -- --nocapture --test-threads 1

.PHONY: soak
soak: programs control-plane ## the tests that take long; not part of CI
	$(call say,the whole city, twice over)
	@TANDEM_BIN=$(BIN) cargo test --locked -p tandem-tests --test city -- --nocapture --test-threads 1 --include-ignored
