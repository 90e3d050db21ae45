#!/usr/bin/env bash
# tools/dist_test.sh CONFIG CHECKPOINT GPUS [options of test.py]
# Starts GPUS processes on this machine. For several machines: environment variables, listed in tools/rendezvous.sh.
set -euo pipefail
if [ $# -lt 3 ]; then echo "usage: tools/dist_test.sh CONFIG CHECKPOINT GPUS [options of test.py]" >&2; exit 2; fi
CONFIG=$1 CHECKPOINT=$2 GPUS=$3; shift 3
tools=$(dirname "$(readlink -f "$0")")
# shellcheck source=tools/rendezvous.sh
. "$tools/rendezvous.sh"
exec "$tools/python" -m mae_transfer.compat.torchrun "${rendezvous[@]}" --nproc_per_node "$GPUS" \
    "$tools/test.py" "$CONFIG" "$CHECKPOINT" --launcher pytorch "$@"
