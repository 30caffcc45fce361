# `make demo` and `make test` each do the whole set-up on a fresh machine, then run.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: setup browser demo check test slow lint bench bench-quick bench-full soak settings pictures clean

setup: $(READY)

# torch first and alone: the constraints hold the version whose plain install is meant, see the README.
$(READY): pyproject.toml constraints.txt
	@echo "Setting up .venv: about 2 GB, a few minutes, once."
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt torch setuptools
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt --no-build-isolation -e '.[dev]'
	touch $(READY)

demo: $(READY)
	$(BIN)/easq demo

# The browser tests skip where there is no Chromium and nobody may install it.
browser:
	@command -v chromium >/dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null \
		&& apt-get update -qq && apt-get install -qq -y --no-install-recommends chromium fonts-noto-cjk >/dev/null; } \
		|| echo "no chromium: the browser tests will be skipped"

# What to run before each commit: under three minutes on two cores.
check: lint
	$(BIN)/pytest -m "not long and not slow"

test: $(READY) browser
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

# Methods compared (docs/results.md): minutes, and hours. Stopped, they go on where they were.
bench-quick: $(READY)
	$(BIN)/easq bench --size quick --out runs/bench-quick

bench-full: $(READY)
	$(BIN)/easq bench --size full --out runs/bench-full

# Twenty minutes at the highest steady rate, which is searched first.
soak: $(READY)
	$(BIN)/python benchmarks/soak.py --rate 0

# The reference of all settings, made from the docstrings of their types.
settings: $(READY)
	$(BIN)/easq recipe --settings > docs/settings.md

pictures: $(READY) browser
	EASQ_PICTURES=docs/images $(BIN)/pytest tests/e2e/browser/test_pictures.py tests/e2e/browser/test_demo.py \
		tests/e2e/browser/test_dashboard.py

clean:
	rm -rf .venv build runs
