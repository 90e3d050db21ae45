#!/usr/bin/env bash
# Set up what is missing, then run the tests.
#   tools/run_tests.sh [--no-venv] [options of pytest]      e.g. tools/run_tests.sh -m slow
# Without options of pytest: all tests, in two processes at a time (each takes 2 GB).
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/set_up.sh
if [ "${1:-}" = --no-venv ]; then shift; set_up --no-venv; else set_up; fi
[ $# -gt 0 ] || set -- --numprocesses 2 --dist loadfile
# One thread: the tests' tensors are tiny, and threads that wait for a busy core make them many times slower.
OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} exec "$PYTHON" -m pytest "$@"
