# The targets people and CI share. `make setup` builds .venv from hash-locked pins; everything else depends on it.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.stamp-$(shell cat requirements/dev.txt pyproject.toml scripts/setup.sh | cksum | cut -d' ' -f1)

# Sources are compiled once, not by each of the hundreds of processes that the checks start.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup demo unit test test-clients check fmt bench lock clean

setup: $(STAMP)

$(STAMP): requirements/dev.txt pyproject.toml scripts/setup.sh
	PYTHON=$(PYTHON) sh scripts/setup.sh
	@rm -f .venv/.stamp-* && touch $@

demo: setup
	$(BIN)/tierwise demo

# Plugins that no unit test uses take a second to load. Hundreds of ledgers are made, each synced to its disk time and
# again: they lie in memory where there is a folder for that.
unit: setup
	$(if $(wildcard /dev/shm/.),TMPDIR=/dev/shm) $(BIN)/python -m pytest tests/unit -n auto --maxprocesses 4 \
	  -o tmp_path_retention_policy=failed -p no:schemathesis -p no:anyio -p no:hypothesispytest

# Most tests wait for processes more than they compute: four at a time, also on two cores.
test: setup
	PYTHON=$(PYTHON) sh scripts/clients.sh python
	$(BIN)/python -m pytest tests -n 4 --dist loadfile --no-loadscope-reorder \
	  --ignore=tests/clients/node --ignore=tests/clients/cli

test-clients: setup
	PYTHON=$(PYTHON) sh scripts/clients.sh all
	$(BIN)/python -m pytest tests/clients/node tests/clients/cli

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python scripts/shape.py

fmt: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup
	$(BIN)/python -m benchmarks.run

# The newest versions that are at least a week old; needs uv.
lock:
	for name in runtime dev clients-old clients-new clients-llm clients-litellm clients-node; do \
	  uv pip compile -q requirements/$$name.in --exclude-newer $$(date -u -d '7 days ago' +%F) --generate-hashes \
	    --no-emit-index-url --no-emit-find-links --python-version 3.11 --upgrade \
	    --custom-compile-command "make lock" -o requirements/$$name.txt; \
	done

clean:
	rm -rf .venv .venv-* tests/clients/node/node_modules build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
