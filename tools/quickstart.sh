#!/usr/bin/env bash
# Set up what is missing, then walk through the house: scenes, MAE pre-training, Mask R-CNN and UperNet from random and from MAE
# weights, one table, pictures. At most 12 minutes on two cores after set-up.
#   tools/quickstart.sh [--no-venv] [--seed N] [--pretrain-only-here] [--work-dir work_dirs/quickstart]
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/set_up.sh
if [ "${1:-}" = --no-venv ]; then shift; set_up --no-venv; else set_up; fi
exec "$PYTHON" tools/quickstart.py "$@"
