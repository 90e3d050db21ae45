#!/usr/bin/env bash
# Install what is missing, then run the quickstart: generated scenes, MAE pre-training, Mask R-CNN and UperNet from random
# and from MAE weights, a table and pictures. Takes at most 12 minutes on two cores, after the installation.
#   tools/quickstart.sh [--no-venv] [--seed N] [--pretrain-only-here] [--work-dir work_dirs/quickstart]
#   tools/quickstart.sh [--no-venv] [--seed N] --photos    pre-trains on the photos inside of scikit-image instead, which
#                                                          must be installed, and shows reconstructions
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."
. tools/set_up.sh
if [ "${1:-}" = --no-venv ]; then shift; set_up --no-venv; else set_up; fi
exec tools/quickstart.py "$@"
