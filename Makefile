# Tandem. `make help` lists the targets.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

TANDEM_CACHE ?= $(HOME)/.cache/tandem
export TANDEM_CACHE
export CARGO_TARGET_DIR ?= $(TANDEM_CACHE)/target
BIN := $(CARGO_TARGET_DIR)/release
# Whose the target folder is. Cargo goes by times: of two clones that share it, the one whose files are older is given what the
# other built.
CHECKOUT := $(CARGO_TARGET_DIR)/checkout
TOOLS := $(TANDEM_CACHE)/tools
CARGO_DENY_VERSION := 0.20.2
INVENTORY ?= tests/data/bozhou/inventory.csv
LAB ?= $(CURDIR)/.lab
KEPT := TANDEM_CACHE,TANDEM_BIN,TANDEM_KUBE_BIN,TANDEM_HELM,TANDEM_PREVIOUS,KUBEBUILDER_ASSETS,CARGO_TARGET_DIR,RUST_BACKTRACE,PATH
SUDO := $(shell [ "$$(id -u)" -eq 0 ] || echo sudo --preserve-env=$(KEPT))
# Tests on the lab are built by whoever calls make, and run as root.
RUNNER := $(if $(SUDO),--config "target.'cfg(unix)'.runner = '$(SUDO)'")

# What the build, and what the lab, need of Debian. A python3 or kubectl that is there already, from wherever, is left alone.
unless = $(if $(shell command -v $(1) 2>/dev/null),,$(2))
BUILD_PACKAGES := gcc libc6-dev make protobuf-compiler libprotobuf-dev $(call unless,python3,python3)
LAB_PACKAGES := etcd-server etcd-client iproute2 nftables util-linux libfaketime patroni postgresql-15 haproxy \
	$(call unless,kubectl,kubernetes-client)

# What is said may have two commas.
comma := ,
define say
@printf '\033[1m==> %s\033[0m\n' "$(1)$(if $(2),$(comma)$(2))$(if $(3),$(comma)$(3))"
endef

# Asks for a password now, where one is needed, and not minutes later.
.PHONY: root
root:
	@$(if $(SUDO),command -v sudo >/dev/null && sudo true,:) || { \
		echo 'error: the lab makes network namespaces, which only root can' >&2; \
		echo '  mend it: call make as root, or as somebody who may use sudo' >&2; exit 1; }

.PHONY: help
help: ## list the targets
	@printf 'Tandem: two data centres, one city.\n\n'
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16
	@printf '\nSettings: INVENTORY=%s LAB=%s TANDEM_CACHE=%s TANDEM_KUBE_BIN=%s\n' \
		'$(INVENTORY)' '$(LAB)' '$(TANDEM_CACHE)' "$${TANDEM_KUBE_BIN:-(built from the Debian source package)}"

.PHONY: up
up: root programs control-plane ## start two data centres, with the city's agencies in them and their API
	$(call say,starting the lab in $(LAB) and importing $(INVENTORY))
	@$(SUDO) $(BIN)/tandem-lab up --dir $(LAB) --automatic --ledger service-hall --ledger data-hub --import $(INVENTORY)

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
	@if [ "$$(cat '$(CHECKOUT)' 2>/dev/null)" != '$(CURDIR)' ]; then \
		if [ -e '$(CARGO_TARGET_DIR)' ]; then \
			printf '\033[1m==> %s\033[0m\n' 'another clone built here last: its parts of Tandem are built again'; \
			cargo clean --quiet --workspace --locked; \
		fi; \
		mkdir -p '$(CARGO_TARGET_DIR)' && echo '$(CURDIR)' > '$(CHECKOUT)'; \
	fi

.PHONY: lab-packages
lab-packages:
	@scripts/ensure-packages $(LAB_PACKAGES)

.PHONY: programs
programs: build-packages ## build tandem, tandem-operator, tandem-api, tandem-agent, tandem-ledger and tandem-lab
	$(call say,building the programs into $(BIN))
	@cargo build --release --locked -p tandem-cli -p tandem-operator -p tandem-api -p tandem-agent -p tandem-ledger -p tandem-lab
	@ln -sf tandem $(BIN)/kubectl-tandem && ln -sf tandem $(BIN)/kubectl_complete-tandem

.PHONY: control-plane
control-plane: lab-packages ## build the Kubernetes control plane, once (about 5 minutes)
	@if [ -z "$${TANDEM_KUBE_BIN:-}$${KUBEBUILDER_ASSETS:-}" ]; then lab/control-plane/build.sh; fi

.PHONY: check
check: build-packages fmt-check clippy deny doc generated structure docs ## everything that is checked without running Tandem

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
	@cargo run --quiet --locked -p tandem-crds --bin crdgen -- crds/generated charts/tandem
	$(call say,writing the tables of docs/failover.md, docs/metrics.md and docs/cli.md)
	@TANDEM_WRITE_DOCS=1 cargo test --quiet --locked -p tandem-core -p tandem-operator -p tandem-api -p tandem-cli --lib the_manual_has
	$(call say,writing the dashboards)
	@python3 dashboards/generate.py

.PHONY: generated
generated: build-packages
	$(call say,generated files are up to date)
	@cargo run --quiet --locked -p tandem-crds --bin crdgen -- --check crds/generated charts/tandem
	@python3 tests/data/bozhou/generate.py --check
	@cargo test --quiet --locked -p tandem-core -p tandem-operator -p tandem-api -p tandem-cli --lib the_manual_has
	@python3 dashboards/generate.py --check

.PHONY: structure
structure: build-packages
	$(call say,crate directions are as drawn)
	@cargo test --quiet --locked -p tandem-tests --test structure

.PHONY: docs
docs: build-packages ## check the manual: what runs its commands, whether they parse, where its links lead
	$(call say,the manual)
	@cargo test --quiet --locked -p tandem-tests --test docs

LAB_TEST = TANDEM_BIN=$(BIN) cargo test --locked $(RUNNER) -p $(1) --test $(2) -- --nocapture --test-threads 1 $(3)

.PHONY: chart
chart: build-packages control-plane ## test the Helm chart: what it renders and refuses, and installing it on a real API server
	@scripts/ensure-packages etcd-server openssl $(call unless,python3,python3)
	$(call say,the Helm chart)
	@tools=$$(scripts/chart-tools); \
		TANDEM_HELM=$$tools/helm cargo test --locked -p tandem-tests --test chart; \
		scripts/test-chart $$tools

.PHONY: manual
manual: programs control-plane ## run the commands of the manual that need no pods, on real API servers and a real etcd
	@scripts/ensure-packages etcd-server etcd-client openssl $(call unless,python3,python3)
	$(call say,the commands of the manual)
	@tools=$$(scripts/chart-tools); scripts/test-manual $$tools $(BIN)

.PHONY: adopt
adopt: root programs control-plane ## bring a Patroni pair under Tandem on a lab as docs/postgresql.md says, and move it there and back
	@scripts/ensure-packages curl openssl procps $(call unless,python3,python3)
	$(call say,a Patroni pair comes under Tandem (about a minute))
	@$(SUDO) scripts/test-postgresql $(BIN)

.PHONY: installed
installed: root programs control-plane ## install both sites of a lab from the chart, upgrade and uninstall them
	@scripts/ensure-packages curl $(call unless,python3,python3)
	$(call say,both sites from the chart: installed, upgraded, uninstalled (about 3 minutes))
	@TANDEM_HELM=$$(scripts/chart-tools)/helm $(call LAB_TEST,tandem-tests,installed)

.PHONY: dashboards
dashboards: build-packages ## test the alerts, their runbooks and the dashboards against Prometheus' own tools
	@scripts/ensure-packages prometheus
	$(call say,alerts, runbooks and dashboards)
	@cargo test --quiet --locked -p tandem-tests --test dashboards

.PHONY: test
test: root programs control-plane ## all tests: units, properties, the lab, end to end, the whole city
	$(call say,unit and property tests)
	@cargo test --workspace --locked $(RUNNER) --exclude tandem-tests --exclude tandem-lab --exclude tandem-sim
	@cargo test --locked $(RUNNER) -p tandem-lab --lib --bins
	@cargo test --locked -p tandem-arbiter --features mutations --lib
	$(call say,the protocol in simulated time)
	@cargo test --release --locked -p tandem-sim
	@$(MAKE) --no-print-directory chart dashboards manual adopt installed
	$(call say,the life of a lab)
	@$(call LAB_TEST,tandem-lab,lifecycle)
	$(call say,end to end on a lab)
	@$(call LAB_TEST,tandem-tests,e2e)
	$(call say,staged faults: who is active, on a lab (about 4 minutes))
	@$(call LAB_TEST,tandem-tests,failover)
	$(call say,PostgreSQL at both sites, under writes (about 5 minutes))
	@$(call LAB_TEST,tandem-tests,postgres)
	$(call say,the whole city on a lab (about 3 minutes))
	@$(call LAB_TEST,tandem-tests,city)

.PHONY: watch
watch: root programs control-plane ## have a real Prometheus watch a lab while faults are staged, and ask it all that dashboards ask
	@scripts/ensure-packages prometheus
	$(call say,watched by a real Prometheus (about 6 minutes))
	@$(call LAB_TEST,tandem-tests,watch)

.PHONY: test-api
test-api: root programs control-plane ## send requests made up from the OpenAPI document to the API of a lab (EXAMPLES=25)
	@scripts/ensure-packages $(call unless,python3,python3) python3-venv curl
	@$(SUDO) scripts/test-api $(BIN)

.PHONY: bench-api
bench-api: root programs control-plane ## measure the API on a lab, beside a bare server and a bare etcd
	$(call say,measuring the API on a lab (about 3 minutes))
	@$(subst cargo test,cargo test --release,$(call LAB_TEST,tandem-tests,bench-api))

ROUNDS ?= 20
FAILOVER_ROUNDS ?= $(TANDEM_CACHE)/failover-rounds.jsonl
.PHONY: bench-failover
bench-failover: root programs control-plane ## measure failovers of PostgreSQL under writes, beside a plain Patroni cluster (ROUNDS=20)
	$(call say,measuring failovers on labs (up to 150 minutes; goes on from $(FAILOVER_ROUNDS)))
	@$(subst cargo test,cargo test --release,$(call LAB_TEST,tandem-tests,bench-failover,--results $(FAILOVER_ROUNDS) --rounds $(ROUNDS)))

SEEDS ?= 20000
.PHONY: sim
sim: build-packages ## try to break the failover protocol in simulated time (SEEDS=1000000)
	$(call say,simulating $(SEEDS) seeds)
	@cargo run --quiet --release --locked -p tandem-sim -- --seeds $(SEEDS)

.PHONY: soak
soak: root programs control-plane ## the tests on the lab three times over, with those that take long; not part of CI
	@for round in 1 2 3; do \
		printf '\033[1m==> round %s of 3\033[0m\n' $$round; \
		$(call LAB_TEST,tandem-lab,lifecycle); \
		$(call LAB_TEST,tandem-tests,e2e); \
		$(call LAB_TEST,tandem-tests,failover,--include-ignored); \
		$(call LAB_TEST,tandem-tests,postgres,--include-ignored); \
		$(call LAB_TEST,tandem-tests,city,--include-ignored); \
		$(MAKE) --no-print-directory watch; \
	done
