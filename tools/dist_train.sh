#!/usr/bin/env bash
# tools/dist_train.sh CONFIG GPUS [--max-restarts N] [options of train.py]
# Starts GPUS processes on this machine. For several machines: environment variables, listed in tools/rendezvous.sh.
# With --max-restarts they are started again, up to N times, if one fails, and go on from the last checkpoint.
# With NNODES=MIN:MAX every start is a --resume, as others of the run may have come before.
set -euo pipefail
usage="usage: tools/dist_train.sh CONFIG GPUS [--max-restarts N] [options of train.py]"
if [ $# -lt 2 ]; then echo "$usage" >&2; exit 2; fi
CONFIG=$1 GPUS=$2; shift 2
restarts=0 options=() resumes=
while [ $# -gt 0 ]; do
    case $1 in
        --max-restarts) if [ $# -lt 2 ]; then echo "$usage" >&2; exit 2; fi; restarts=$2; shift 2 ;;
        --max-restarts=*) restarts=${1#*=}; shift ;;
        --resume|--resume=*) resumes=yes options+=("$1"); shift ;;
        *) options+=("$1"); shift ;;
    esac
done
tools=$(dirname "$(readlink -f "$0")")
# shellcheck source=tools/rendezvous.sh
. "$tools/rendezvous.sh"
if [[ ${NNODES:-1} == *:* && -z $resumes ]]; then options+=(--resume); fi
exec "$tools/python" -m mae_transfer.compat.torchrun "${rendezvous[@]}" --max_restarts "$restarts" --nproc_per_node "$GPUS" \
    "$tools/train.py" "$CONFIG" --launcher pytorch ${options[@]+"${options[@]}"}
