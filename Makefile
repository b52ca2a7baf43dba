# The same commands on a developer's machine and in CI. Two are enough for a newcomer: make demo, make test.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin

.PHONY: demo test check format clean

.venv/run: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "Hookline needs Python 3.11 or later: make PYTHON=/path/to/it"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

.venv/dev: .venv/run
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

demo: .venv/run ## play the stories of the mission, then stay up with a page to look at
	$(BIN)/hookline demo

test: .venv/dev ## all tests: real SQLite, PostgreSQL, SMTP, HTTP, browser
	tools/install_chromium.sh
	$(BIN)/pytest -n 2 --dist loadgroup

check: .venv/dev ## style, types, imports, docs
	$(BIN)/ruff format --check src tests
	$(BIN)/ruff check src tests
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest tests/docs

format: .venv/dev
	$(BIN)/ruff format src tests
	$(BIN)/ruff check --fix src tests

clean:
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
