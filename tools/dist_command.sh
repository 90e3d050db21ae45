#!/usr/bin/env bash
# tools/dist_command.sh GPUS SUBCOMMAND ...
# What `mae-transfer SUBCOMMAND ... --gpus GPUS` does: GPUS processes of it on this machine. For several machines:
# environment variables, listed in tools/rendezvous.sh.
set -euo pipefail
if [ $# -lt 2 ]; then echo "usage: tools/dist_command.sh GPUS SUBCOMMAND ..." >&2; exit 2; fi
GPUS=$1; shift
tools=$(dirname "$(readlink -f "$0")")
# shellcheck source=tools/rendezvous.sh
. "$tools/rendezvous.sh"
exec "$tools/python" -m mae_transfer.compat.torchrun "${rendezvous[@]}" --nproc_per_node "$GPUS" \
    --module mae_transfer.command "$@" --launcher pytorch
