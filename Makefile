# Two commands for a newcomer: `make demo` and `make test`. Both make their own .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SERVE ?= 1
SEED ?= 1
QUICK ?=
ONLY ?=

.PHONY: demo test lint format bench bench-match bench-learning bench-serve constraints clean setup setup-test

setup: $(VENV)/.core
setup-test: $(VENV)/.test

$(VENV)/.core: pyproject.toml constraints.txt scripts/setup.sh
	@PYTHON=$(PYTHON) VENV=$(VENV) bash scripts/setup.sh core

$(VENV)/.test: pyproject.toml constraints.txt scripts/setup.sh scripts/system-packages.sh
	@PYTHON=$(PYTHON) VENV=$(VENV) bash scripts/setup.sh test
	@bash scripts/system-packages.sh

demo: $(VENV)/.core
	@$(BIN)/jinqiao demo --seed $(SEED) $(if $(filter 0,$(SERVE)),--no-serve,)

test: $(VENV)/.test
	@$(BIN)/python -m pytest -n 2 --dist worksteal

lint: $(VENV)/.test
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(VENV)/.test
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: $(VENV)/.test
	@for file in benchmarks/[a-z]*.py; do echo "== $$file"; QUICK=$(QUICK) SEED=$(SEED) $(BIN)/python $$file || exit 1; done
	@echo "== benchmarks/match/small.py"; QUICK=$(QUICK) SEED=$(SEED) $(BIN)/python -m benchmarks.match.small
	@$(MAKE) --no-print-directory bench-match bench-learning bench-serve

bench-match: $(VENV)/.test
	@QUICK=$(QUICK) SEED=$(SEED) ONLY=$(ONLY) $(BIN)/python -m benchmarks.match

bench-learning: $(VENV)/.test
	@QUICK=$(QUICK) SEED=$(SEED) ONLY=$(ONLY) $(BIN)/python -m benchmarks.learning

bench-serve: $(VENV)/.test
	@QUICK=$(QUICK) SEED=$(SEED) ONLY=$(ONLY) $(BIN)/python -m benchmarks.serve

constraints: $(VENV)/.test
	@$(BIN)/pip freeze --exclude-editable | grep -E '^[A-Za-z0-9_.-]+==' | sort -f > constraints.txt

clean:
	rm -rf $(VENV) demo build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
