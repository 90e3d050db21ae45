#!/usr/bin/env bash
# tools/dist_test.sh CONFIG CHECKPOINT GPUS [options of test.py]
# Starts GPUS processes on each node. Environment variables for several nodes: NNODES, NODE_RANK, MASTER_ADDR, PORT.
set -euo pipefail
if [ $# -lt 3 ]; then echo "usage: tools/dist_test.sh CONFIG CHECKPOINT GPUS [options of test.py]" >&2; exit 2; fi
CONFIG=$1 CHECKPOINT=$2 GPUS=$3; shift 3
tools=$(dirname "$(readlink -f "$0")")
exec "$tools/python" -m mae_transfer.compat.torchrun \
    --nnodes "${NNODES:-1}" --node_rank "${NODE_RANK:-0}" --master_addr "${MASTER_ADDR:-127.0.0.1}" --master_port "${PORT:-29500}" \
    --nproc_per_node "$GPUS" "$tools/test.py" "$CONFIG" "$CHECKPOINT" --launcher pytorch "$@"
