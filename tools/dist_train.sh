#!/usr/bin/env bash
# tools/dist_train.sh CONFIG GPUS [options of train.py]
# Starts GPUS processes on each node. Environment variables for several nodes: NNODES, NODE_RANK, MASTER_ADDR, PORT.
set -euo pipefail
if [ $# -lt 2 ]; then echo "usage: tools/dist_train.sh CONFIG GPUS [options of train.py]" >&2; exit 2; fi
CONFIG=$1 GPUS=$2; shift 2
tools=$(dirname "$(readlink -f "$0")")
exec "$tools/python" -m torch.distributed.run \
    --nnodes "${NNODES:-1}" --node_rank "${NODE_RANK:-0}" --master_addr "${MASTER_ADDR:-127.0.0.1}" --master_port "${PORT:-29500}" \
    --nproc_per_node "$GPUS" "$tools/train.py" "$CONFIG" --launcher pytorch "$@"
