# MCS operator. `make help` lists the targets; the two that matter first are `make demo` and `make test`.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEPS := $(VENV)/.installed
DOCS_DEPS := $(VENV)/.installed-docs
CLUSTER := hack/cluster/cluster
LOCK := $(BIN)/uv pip compile -q --universal --upgrade --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-annotate --no-header
# uv takes a tenth of pip's time, because it links what it has unpacked once. It reads no settings of pip's: where those
# name the registry, or its certificate, pip does it.
install = $(BIN)/uv pip install -q --python $(BIN)/python $(1) || $(BIN)/pip install -q --no-compile $(1)
# By content, and outside of the tree: half of what lint takes is what mypy finds anew in each clone.
types = MYPY_CACHE_DIR=$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/mcs-operator/mypy/$(1)
T ?=
# Where Python is told to keep no bytecode, each of some hundred processes compiles the same sources anew: a second each.
export PYTHONDONTWRITEBYTECODE :=
PYTEST := $(BIN)/pytest $(if $(QUICK),-m 'not slow') $(if $(T),-k '$(T)')

.PHONY: help
help: ## List the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z0-9-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

## ---- what the targets below need

.PHONY: deps
deps: $(DEPS) ## Create .venv with the locked dependencies
# Debian has what makes a venv in a package of its own. Not compiled ahead: most of it is never imported.
$(DEPS): requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || hack/prepare python3-venv
	$(PYTHON) -m venv $(VENV)
	@sed -n '/^uv==/,/[^\\]$$/p' requirements/dev.txt > $(VENV)/uv.txt # at the locked version
	$(BIN)/pip install -q --no-compile --require-hashes -r $(VENV)/uv.txt
	$(call install,--require-hashes -r requirements/dev.txt)
	$(call install,--no-deps --no-build-isolation -e .)
	@touch $@

.PHONY: lock
lock: $(DEPS) ## Resolve the dependencies anew (hashes, no download addresses)
	$(LOCK) pyproject.toml -o requirements/runtime.txt
	$(LOCK) --extra dev pyproject.toml -o requirements/dev.txt
	$(LOCK) --extra docs --constraints requirements/dev.txt pyproject.toml -o requirements/docs.txt
	$(LOCK) --constraints requirements/dev.txt images/appliance/requirements.in -o images/appliance/requirements.txt

# Apart, so that whoever builds no documentation does not install it.
$(DOCS_DEPS): $(DEPS) requirements/docs.txt
	$(call install,--require-hashes -r requirements/docs.txt)
	@touch $@

## ---- the node and the images

.PHONY: cluster-up cluster-down cluster-status cluster-env images load
cluster-up: ## Start a real Kubernetes node (kind where Docker runs, else built from Go modules)
	@$(CLUSTER) up
cluster-down: ## Stop it and leave nothing behind but caches
	@$(CLUSTER) down
cluster-status: ## Components of the node, and whether all is well
	@$(CLUSTER) status
cluster-env: ## Shell lines to use it: eval "$$(make -s cluster-env)"
	@$(CLUSTER) env
images: ## Build all images (cached by content)
	@hack/images/build
load: ## Build the images and load them into the node
	@$(CLUSTER) load $$(hack/images/build)

## ---- the plugin

PREFIX ?= $(HOME)/.local
.PHONY: plugin
plugin: ## Install `kubectl mcs` and its completion into ~/.local/bin (PREFIX=/usr/local for everybody); needs deps
	@mkdir -p $(PREFIX)/bin
	@ln -sf $(CURDIR)/hack/plugin/kubectl-mcs $(CURDIR)/hack/plugin/kubectl_complete-mcs $(PREFIX)/bin/
	@echo "kubectl mcs is in $(PREFIX)/bin, which has to be on the PATH"

## ---- the demo

.PHONY: demo demo-clean
demo: $(DEPS) cluster-up load ## Customers talk, others come and go, and nobody loses a packet
	@hack/prepare chromium
	@eval "$$($(CLUSTER) env)"; $(BIN)/python hack/demo/demo
demo-clean: $(DEPS) ## Remove what the demo made (the node stays)
	@eval "$$($(CLUSTER) env)"; $(BIN)/python hack/demo/demo clean

## ---- checks and tests; T='expression' picks some of them

.PHONY: test unit integration contract e2e pages bench soak mutants ecosystem lint generate verify alerts docs
# Helm and Prometheus first: tests take the ones that are built by then. The rest waits for most of its time, on servers,
# kubelet and tunnels, so that four lanes fit two cores: two nodes, programs without a cluster, and all the others. What
# runs on a real node minds clocks, so the others are nice to it; but not the unit tests, some of which do that as well.
test: ## All of it but for what is marked slow: what `.ci/run` runs
	@failed=0; nodes='node-here node-beside'; \
	[ "$$(id -u)" -eq 0 ] && [ -z "$${KUBECONFIG:-}" ] && ! docker info >/dev/null 2>&1 || nodes=e2e; \
	hack/prometheus >/dev/null && hack/helm version >/dev/null && \
	$(MAKE) --no-print-directory --jobs=4 --output-sync=line QUICK=1 aside programs $$nodes || failed=$$?; \
	echo "make test: $$((SECONDS / 60)) min $$((SECONDS % 60)) s"; \
	exit $$failed
.PHONY: aside programs node
aside: $(DEPS) # what failed does not hide what comes after it
	@failed=0; \
	nice -n 10 $(MAKE) --no-print-directory verify docs || failed=$$?; \
	$(MAKE) --no-print-directory unit || failed=$$?; \
	nice -n 5 $(MAKE) --no-print-directory integration WITHOUT='$(PROGRAMS)' || failed=$$?; \
	exit $$failed
PROGRAMS := tests/integration/openvpn tests/integration/appliance tests/contract
programs: $(DEPS)
	@hack/prepare
	@hack/images/programs >/dev/null && hack/images/pages >/dev/null || : # told as it goes; tests say what is missing
	nice -n 5 $(PYTEST) -n 2 --dist loadfile $(PROGRAMS)

unit: $(DEPS) ## Pure code, seconds, no network
	@hack/prepare
	$(PYTEST) -n 3 --dist worksteal tests/unit
integration: $(DEPS) ## Against a real API server (KUBECONFIG, or one of its own), and real OpenVPN
	@hack/prepare
	$(PYTEST) --durations=20 -n 5 --dist loadfile --no-loadscope-reorder tests/integration tests/contract $(WITHOUT:%=--ignore=%)
IMAGE ?=
contract: $(DEPS) ## What any media image must do, asked of IMAGE=<name, or path of a docker-archive>; without, of our programs
	@hack/prepare
	MCS_IMAGE='$(IMAGE)' $(PYTEST) tests/contract
node: # of its own, so that with --jobs it starts while the dependencies are installed
	@hack/test-e2e true
e2e: $(DEPS) node ## Against a real node (KUBECONFIG, or one of its own), and with a real browser
	@hack/prepare && hack/prepare chromium
	@hack/test-e2e $(PYTEST) --durations=20 tests/e2e
# Half of the modules on each of two nodes. Those of the second one have no other node, and no other operator, either.
BESIDE := $(patsubst %,tests/e2e/test_%.py,chart documentation first_customer gate in_place node_drain)
.PHONY: node-here node-beside
node-here: $(DEPS) node
	@hack/prepare && hack/prepare chromium
	@hack/test-e2e $(PYTEST) --durations=20 tests/e2e $(BESIDE:%=--ignore=%)
node-beside: $(DEPS) node
	@hack/prepare && hack/prepare chromium
	@hack/beside hack/test-e2e $(PYTEST) --durations=20 $(BESIDE)
bench: $(DEPS) ## Measure, as ratios within one run; writes build/bench
	@hack/prepare
	@hack/test-e2e $(PYTEST) tests/bench
pages: $(DEPS) ## The portal's pages in a browser, against a fake of its server: stories, axe; MCS_PICTURES=<folder> leaves pictures
	@hack/prepare chromium
	$(PYTEST) tests/pages
FUZZ ?= 20000
PLANS ?= 30
# 5: what T asks for is not in this part. It has to be in one of them.
soak: $(DEPS) ## FUZZ hostile inputs at each of a dozen doors; what is planned for PLANS random worlds, and done; the portal's pages, as `make pages`; the pod's life with 64 and 250 tunnels; a customer's, twenty times
	@hack/prepare && hack/prepare chromium libnss3-tools
	@ran=; part() { "$$@" && ran=1 || { [ $$? -eq 5 ] && [ -n '$(T)' ]; }; }; \
	part env MCS_FUZZ=$(FUZZ) MCS_PLANS=$(PLANS) $(PYTEST) -n auto --timeout 3600 \
		$$(grep -rl MCS_FUZZ tests/unit) tests/integration/test_plan_is_true.py; \
	part $(PYTEST) tests/pages; \
	part env MCS_LINKS=250 MCS_ROUNDS=20 hack/test-e2e $(PYTEST) -s tests/e2e/test_many_links.py tests/soak; \
	[ -n "$$ran" ]

SAMPLE ?= 60
SEED ?= 1
mutants: $(DEPS) ## How many small faults the unit tests notice, by package (SAMPLE=0: all of them, SEED=, T=<file>)
	@hack/prepare
	PYTHONPATH=tests:operator $(BIN)/python -m mutants.run --sample $(SAMPLE) --seed $(SEED) --only '$(T)'

# CI=true: a part that was asked for and cannot run here has failed.
ON_NODE := networkpolicy registry two_nodes volume
ASKED := $(subst -,_,$(T))
FOUND = $(foreach part,$(ASKED),$(or $(sort $(wildcard tests/ecosystem/test_$(part)*.py)),$(error no part: $(part))))
ecosystem: $(DEPS) $(if $(ASKED),$(if $(filter $(ON_NODE),$(ASKED)),node),node) ## Beside our users' own tools, each with what it needs and takes: T=flux picks one (docs/ecosystem.md)
	@hack/prepare && hack/prepare git && hack/helm version >/dev/null
	CI=true $(BIN)/pytest $(or $(FOUND),tests/ecosystem)

alerts: $(DEPS) ## Play the alerts with promtool, which is built the first time (four minutes)
	@promtool=$$(hack/prometheus)/promtool; \
	$$promtool check rules charts/mcs-operator/files/alerts.yaml; \
	$$promtool test rules tests/alerts/*_test.yaml

docs: $(DOCS_DEPS) ## Build the site from docs/ into build/site; a warning, such as a dead link, is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

.PHONY: release upgrade
URL ?= https://releases.example.com/mcs-operator
REGISTRY ?= localhost/mcs
KEY ?=
REBUILD ?=
ANEW := $(if $(REBUILD),MCS_IMAGES_CACHE=build/images)
release: $(DEPS) ## Build what a team consumes into build/release, and try it; URL=, REGISTRY= where it will be, KEY= cosign's, REBUILD=1
	@hack/helm version >/dev/null && hack/tool cosign version >/dev/null 2>&1 && KREW_ROOT=build/krew hack/tool krew version >/dev/null
	@rm -rf build/images
	@$(ANEW) $(BIN)/python hack/release/release --url '$(URL)' --registry '$(REGISTRY)' --key '$(KEY)'
	@$(ANEW) MCS_KEY='$(KEY)' $(PYTEST) $(if $(REBUILD),,--ignore=tests/release/test_rebuilt.py) tests/release
	@rm -rf build/images

FROM ?=
upgrade: $(DEPS) node ## From the last release (FROM=<commit>: from there) to this tree and back, under probes, on a real node
	@hack/prepare
	@MCS_FROM='$(FROM)' hack/test-e2e $(PYTEST) -s tests/upgrade

lint: $(DEPS) ## Format, lint, types, layers, workflows
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(call types,operator) $(BIN)/mypy
	cd images/appliance && $(call types,appliance) ../../$(BIN)/mypy --strict appliance gate portal
	$(BIN)/lint-imports --no-cache | tail -n 6
	hack/tool actionlint -shellcheck= -pyflakes= .github/workflows/*.yaml
generate: $(DEPS) ## Write everything that is generated from the models
	$(BIN)/python hack/generate.py
verify: lint ## Fail where generated files are not what their source says, a file is not known to git, or the pages fail their checks
	@hack/verify $(BIN)/python hack/generate.py
	@hack/images/pages check || [[ $$? = 3 && "$${CI:-}" != true ]] # 3: no npm here, and not for us to install it
