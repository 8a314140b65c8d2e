# The tasks, by name: `just` lists them (https://just.systems). A line here is a command that works without just, too.

# list the tasks
default:
    @just --list

# make .venv, with all that tests and documentation need
setup:
    python3 -m venv .venv && .venv/bin/pip install -q -e '.[test,docs]'

# the tests, three at a time, or those named: just test tests/test_urls.py
test *words:
    .venv/bin/python -m pytest -q -n 3 {{ words }}

# the tests of rules and pages alone: seconds
pure:
    .venv/bin/python -m pytest -q -m pure

# the same on every Python that is here
pure-everywhere:
    bash .ci/pure

# lint, format and types, as CI sees them
check:
    .venv/bin/python -m ruff check .
    .venv/bin/python -m ruff format --check .
    .venv/bin/python -m mypy

# format the code
format:
    .venv/bin/python -m ruff format .

# random kills over a generated web
chaos minutes="10" seed="7":
    .venv/bin/python -m tests.chaos --minutes {{ minutes }} --seed {{ seed }}

# the documentation, into site/
docs:
    .venv/bin/zensical build --clean --strict

# all that must pass before anything lands
ci:
    bash .ci/run
