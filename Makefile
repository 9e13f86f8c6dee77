# Needs Python 3.11 or newer and make. `make` alone lists the targets; ARGS="..." is passed on.

UV_VERSION := $(shell sed -n 's/^uv==\([0-9.]*\).*/\1/p' tools/uv.txt)
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' 2>/dev/null \
	&& { echo "$$python"; break; }; done)
# One more than the cores of CI: most tests wait for servers.
TEST_PROCESSES ?= 3
ENV ?= dev
MINUTES ?= 10

UV := env -u VIRTUAL_ENV UV_PROJECT_ENVIRONMENT=.venv UV_PYTHON_DOWNLOADS=never .tools/bin/uv
# PyTorch keeps its CPU wheels on an index of its own; pip may know a folder that has them.
WHEELS = $(or $(PIP_FIND_LINKS),$(shell .tools/bin/python -m pip config get global.find-links 2>/dev/null))
TORCH = $(or $(addprefix --find-links=,$(WHEELS)),--torch-backend=cpu)
VLLM_QUIET := HF_HUB_OFFLINE=1 VLLM_NO_USAGE_STATS=1 DO_NOT_TRACK=1 VLLM_LOGGING_LEVEL=ERROR
SOURCES := app.py examples infra layers/shared functions inference_container relay_container front_container cli local tests benchmarks tools

# The tests start hundreds of Python processes: compiled once, modules load with a third of the CPU.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help setup dev check test test-vllm test-clients test-browser chaos hostile test-deploy lint scan pin-images bench synth deploy destroy clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

setup: .venv/.synced node_modules/.installed ## install everything into .tools, .venv and node_modules
	@:

dev: setup ## run all of Axon on this machine (ARGS="--engine echo --port 9000")
	@exec .venv/bin/axon dev $(ARGS)

check: lint ## lint, types and the unit tests of what changed (ARGS=all: every unit test)
	@.venv/bin/python -m tools.check $(ARGS)

test: setup ## run the tests (ARGS="tests/unit -k events")
	.venv/bin/python -m pytest -n $(TEST_PROCESSES) $(ARGS)

test-vllm: setup ## run the engine's tests on a real vLLM (Linux on x86-64; needs no GPU)
	@if [ "$$(uname -sm)" = "Linux x86_64" ]; then $(MAKE) --no-print-directory .vllm/.tested; \
		else echo "test-vllm: skipped, vLLM's CPU wheels are for Linux on x86-64"; fi

test-clients: setup ## talk to a local cloud with other people's clients, unmodified
	@.venv/bin/python -m tests.clients.environments
	@AXON_CLIENTS=1 .venv/bin/python -m pytest -n 0 tests/clients $(ARGS)

test-browser: setup tests/browser/node_modules/.installed ## use the playground in a headless Chromium
	@.venv/bin/python -m tests.browser $(ARGS)

chaos: setup ## break a local cloud for a while and count what is lost (MINUTES=10 SEED=...)
	.venv/bin/python -m tests.chaos --minutes $(MINUTES) $(if $(SEED),--seed $(SEED)) $(ARGS)

hostile: setup ## attack a local cloud as one tenant while another one asks (MINUTES=10)
	.venv/bin/python -m tests.hostile --minutes $(MINUTES) $(ARGS)

test-deploy: setup ## deploy all stacks to an emulator, use them, remove them
	.venv/bin/python -m tests.deploy $(ARGS)

lint: setup ## check style, types and the size of files
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	@find $(SOURCES) -name node_modules -prune -o -type f \( -name '*.py' -o -name '*.lua' -o -name '*.sql' -o -name '*.mjs' \
		-o -name '*.js' -o -name '*.css' -o -name '*.html' \) \
		-exec .venv/bin/python -m tools.files {} +

scan: setup .tools/checkov/.installed ## look for faults and risks in the templates and images
	@for environment in dev prod; do .venv/bin/python -m infra.deploy synth $$environment || exit 1; done
	@# W3005: CDK writes down the dependencies that references imply.
	.venv/bin/cfn-lint --non-zero-exit-code error --ignore-checks W3005 -- cdk.out/dev/*.template.json cdk.out/prod/*.template.json
	.tools/checkov/bin/checkov --config-file .checkov.yaml -d cdk.out/dev -d cdk.out/prod

pin-images: setup ## ask the registries for the digests of the base images, and write them down (network)
	@.venv/bin/python -m tools.images

bench: setup ## measure Axon against its peers (ARGS="engine ...", streams, overload or affinity: others)
	.venv/bin/python -m benchmarks $(ARGS)

synth: setup ## write the CloudFormation templates (ENV=dev)
	@.venv/bin/python -m infra.deploy synth $(ENV) $(ARGS)

deploy: setup ## deploy to AWS: docs/deploy.md (ENV=dev)
	@.venv/bin/python -m infra.deploy deploy $(ENV) $(ARGS)

destroy: setup ## remove from AWS what ENV=dev deployed
	@.venv/bin/python -m infra.deploy destroy $(ENV) $(ARGS)

clean: ## remove what setup and the tools made; your data in .axon stays
	rm -rf .venv .tools .vllm .clients node_modules tests/browser/node_modules .bench .beside cdk.out .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find $(SOURCES) -name __pycache__ -type d -prune -exec rm -rf {} +

.tools/.uv-$(UV_VERSION): tools/uv.txt
	@[ -n "$(PYTHON)" ] || { echo "Axon needs Python 3.11 to 3.14; python3 is $$(python3 -V 2>&1)." \
		"Name another with: make setup PYTHON=/path/to/python" >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) lacks the venv module" \
		"(on Debian and Ubuntu: apt install python3-venv)." >&2; exit 2; }
	@echo "setup 1/3: uv $(UV_VERSION) into .tools"
	@$(PYTHON) -m venv --clear .tools
	@.tools/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes \
		-r tools/uv.txt
	@touch $@

.tools/checkov/.installed: .venv/.synced infra/requirements/checkov.txt
	@$(UV) venv --quiet --clear --python .venv/bin/python .tools/checkov
	@$(UV) pip install --quiet --python .tools/checkov/bin/python -r infra/requirements/checkov.txt
	@touch $@

.venv/.synced: .tools/.uv-$(UV_VERSION) pyproject.toml uv.lock
	@echo "setup 2/3: Python packages into .venv (about 1 GB the first time)"
	@$(UV) sync --locked --python .tools/bin/python
	@touch $@

.vllm/.installed: .venv/.synced uv.lock tests/vllm/requirements.txt
	@echo "test-vllm: vLLM into .vllm (2.5 GB the first time)"
	@mkdir -p .vllm
	@$(UV) venv --quiet --clear --python .venv/bin/python .vllm/venv
	@$(UV) export --quiet --frozen --no-default-groups --no-emit-project --extra service -o .vllm/lock.txt
	@$(UV) pip install --quiet --python .vllm/venv/bin/python --no-deps $(TORCH) -r tests/vllm/requirements.txt
	@$(UV) pip install --quiet --python .vllm/venv/bin/python --no-deps -r .vllm/lock.txt
	@touch $@

.PHONY: .vllm/.tested
.vllm/.tested: .vllm/.installed
	@PYTHONPATH=layers/shared/python:inference_container:. $(VLLM_QUIET) .vllm/venv/bin/python -m pytest \
		-o filterwarnings=default -o timeout=300 -k vllm tests/contract/worker/engines tests/vllm/test_arguments.py $(ARGS)
	@AXON_VLLM_PYTHON=$(CURDIR)/.vllm/venv/bin/python .venv/bin/python -m pytest tests/vllm/test_cloud.py $(ARGS)

node_modules/.installed: .venv/.synced package.json package-lock.json .npmrc
	@echo "setup 3/3: npm packages into node_modules"
	@PATH="$(CURDIR)/.venv/bin:$$PATH" npm ci
	@touch $@

tests/browser/node_modules/.installed: .venv/.synced tests/browser/package-lock.json tests/browser/install.mjs .npmrc
	@echo "test-browser: Chromium into tests/browser/node_modules (70 MB, 230 MB unpacked)"
	@cd tests/browser && export PATH="$(CURDIR)/.venv/bin:$$PATH" && npm ci --userconfig ../../.npmrc && node install.mjs
	@touch $@
