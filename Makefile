# `make demo` and `make test` each do the whole set-up on a fresh machine, then run.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: setup demo test slow lint bench soak clean

setup: $(READY)

# torch first and alone: the constraints hold the version whose plain install is meant, see the README.
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt torch setuptools
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt --no-build-isolation -e '.[dev]'
	touch $(READY)

demo: $(READY)
	$(BIN)/easq demo

test: $(READY)
	$(BIN)/pytest -m "not slow"

slow: $(READY)
	$(BIN)/pytest -m slow

lint: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/codespell $$(git ls-files '*.py' '*.md' '*.toml' Makefile)
	$(BIN)/lint-imports --no-cache

bench: $(READY)
	$(BIN)/python benchmarks/replay.py
	$(BIN)/python benchmarks/memory.py
	$(BIN)/python benchmarks/profiles.py
	$(BIN)/python benchmarks/world.py

# Twenty minutes at the highest steady rate, which is searched first.
soak: $(READY)
	$(BIN)/python benchmarks/soak.py --rate 0

clean:
	rm -rf .venv build runs
