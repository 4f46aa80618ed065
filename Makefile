# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Bytecode is kept of what is imported, also where the environment forbids it.
export PYTHONDONTWRITEBYTECODE =

.PHONY: demo test test-rows lint format clean

demo: $(VENV)/.installed
	$(BIN)/hmr infer data/photos/walk.jpg --out hmr_out

# Two processes of one thread each: threads that wait for each other take more than they give. Each begins with its
# half of the files, so that what the tests of a file share is made once.
test: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal

# Trains every recipe for two steps; `test` does so for one of each algorithm.
test-rows: $(VENV)/.installed
	HMR_TEST_ROWS=all $(BIN)/python -m pytest tests/cli/test_train_rows.py

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The file says that the environment is complete; it is made last. To compile all bytecode takes twice as long as the
# rest of the installation, and most of it is never imported.
$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --no-compile -c constraints.txt -e ".[dev]"
	@touch $@

clean:
	rm -rf $(VENV) dist hmr_out
