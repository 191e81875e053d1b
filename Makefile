# Each target sets up what it needs, in .venv, on a machine that has Python 3.11 or later. ARGS='…' is passed on.

.PHONY: help demo test unit unit-coverage coverage test-matrix browser lint docs bench chaos fuzz release setup-embedded setup-dev

help:
	@echo "make demo    a small shop's traffic through an outage, on real servers, to a sandbox of Customer.io"
	@echo "make test    all tests, with Valkey, PostgreSQL and Celery"
	@echo "make unit    the tests that need no server, in half a minute"
	@echo "make unit-coverage the same, and which lines and branches they run; fails below the floor in pyproject.toml"
	@echo "make coverage all tests, and which lines and branches they run"
	@echo "make test-matrix the tests of Django and Flask with the oldest and newest releases that this Python runs"
	@echo "make browser the console and the Django admin in Chromium; needs chromium and chromedriver"
	@echo "make lint    ruff, mypy in strict mode, and the checks of .pre-commit-config.yaml; all files that git knows"
	@echo "make docs    the documentation site, in docs/_build/html; fails on a warning, a dead link, or an example that does not work"
	@echo "make bench   the benchmarks"
	@echo "make chaos   every fault that happens in production; counts what is lost, duplicated or out of order; 65 minutes"
	@echo "make fuzz    random stream entries, answers and calls, a minute each; ARGS='--seconds 600 --seed 1 --only entries'"
	@echo "make release builds, checks and tags the version in producers/version.py"
	@echo "ARGS='…' is passed on: make test ARGS='-k supervisor'"

demo: setup-embedded
	@.venv/bin/python -m trackrelay.worker.cli.main demo $(ARGS)

test: setup-dev
	@.venv/bin/python -m pytest -n 6 --dist worksteal $(ARGS)

# Otherwise, where the environment forbids it, each of the thousands of processes compiles the code again.
test unit browser: export PYTHONDONTWRITEBYTECODE =
unit: setup-dev
	@.venv/bin/python -m pytest -q -n 2 --hypothesis-profile=quick tests/unit $(ARGS)

# Child processes are measured too, wherever they run: hence one absolute place for what they write.
unit-coverage coverage: export COVERAGE_FILE = $(CURDIR)/.coverage/data
unit-coverage: setup-dev
	@rm -rf .coverage && mkdir .coverage
	@.venv/bin/python -m coverage run -m pytest -q -n 2 --hypothesis-profile=quick tests/unit $(ARGS)
	@.venv/bin/python -m coverage combine --quiet
	@.venv/bin/python -m coverage report --skip-covered --format=total

coverage: setup-dev
	@rm -rf .coverage && mkdir .coverage
	@.venv/bin/python -m coverage run -m pytest -n 6 --dist worksteal $(ARGS)
	@.venv/bin/python -m coverage combine --quiet
	@.venv/bin/python -m coverage html --quiet
	@.venv/bin/python -m coverage report --skip-covered --show-missing --fail-under=0

test-matrix: setup-dev
	@scripts/test-matrix $(ARGS)

browser: setup-dev
	@.venv/bin/python -m pytest -m browser tests/e2e/django tests/e2e/console $(ARGS)

lint: setup-dev
	@.venv/bin/python -m ruff check $(ARGS)
	@.venv/bin/python -m ruff format --check
	@.venv/bin/python -m mypy
	@if git ls-files --error-unmatch Makefile >/dev/null 2>&1; then SKIP=ruff-check,ruff-format,mypy .venv/bin/python -m pre_commit run --all-files; \
	else echo "Only Python was checked: for the other files pre-commit needs a git repository (git init && git add .)"; fi

docs: setup-dev
	@.venv/bin/python -m sphinx -b html -E -W --keep-going -q docs docs/_build/html
	@.venv/bin/python -m pytest -q tests/unit/docs

bench: setup-dev
	@.venv/bin/python -m benchmarks $(ARGS)

chaos: setup-dev
	@.venv/bin/python -m tests.chaos $(ARGS)

fuzz: setup-dev
	@.venv/bin/python -m tests.fuzz $(ARGS)

release: setup-dev
	@scripts/release

setup-embedded setup-dev:
	@scripts/setup $(@:setup-%=%)
