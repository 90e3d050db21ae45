#!/usr/bin/env bash
# tools/dist_train.sh CONFIG GPUS [--max-restarts N] [options of train.py]
# Starts GPUS processes on each node. Environment variables for several nodes: NNODES, NODE_RANK, MASTER_ADDR, PORT.
# With --max-restarts they are started again, up to N times, if one fails, and go on from the last checkpoint.
set -euo pipefail
usage="usage: tools/dist_train.sh CONFIG GPUS [--max-restarts N] [options of train.py]"
if [ $# -lt 2 ]; then echo "$usage" >&2; exit 2; fi
CONFIG=$1 GPUS=$2; shift 2
restarts=0 options=()
while [ $# -gt 0 ]; do
    case $1 in
        --max-restarts) if [ $# -lt 2 ]; then echo "$usage" >&2; exit 2; fi; restarts=$2; shift 2 ;;
        --max-restarts=*) restarts=${1#*=}; shift ;;
        *) options+=("$1"); shift ;;
    esac
done
tools=$(dirname "$(readlink -f "$0")")
exec "$tools/python" -m mae_transfer.compat.torchrun \
    --nnodes "${NNODES:-1}" --node_rank "${NODE_RANK:-0}" --master_addr "${MASTER_ADDR:-127.0.0.1}" --master_port "${PORT:-29500}" \
    --max_restarts "$restarts" --nproc_per_node "$GPUS" \
    "$tools/train.py" "$CONFIG" --launcher pytorch ${options[@]+"${options[@]}"}
