#!/usr/bin/env bash
# Set up what is missing, then check the code and run the tests.
#   tools/run_tests.sh [--no-venv] [options of pytest]      e.g. tools/run_tests.sh -m slow
# Without options of pytest: ruff (lint and format), mypy (types), then all tests, two processes at a time (2 GB each).
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."
. tools/set_up.sh
if [ "${1:-}" = --no-venv ]; then shift; set_up --no-venv; else set_up; fi
if [ $# -eq 0 ]; then
    tools/python -m ruff check
    tools/python -m ruff format --check || { echo "error: not formatted: run tools/python -m ruff format" >&2; exit 1; }
    tools/python -m mypy
    set -- --numprocesses 2 --dist loadfile
fi
exec tools/python -m pytest "$@"
