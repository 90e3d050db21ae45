"""``--gpus N``: the subcommand again, in N processes, as tools/dist_train.sh starts them."""

from __future__ import annotations

import argparse
import os
import sys

from ..compat.package_configs import CONFIGS
from ..errors import UserError

#: The shell's part of it, beside the other tools: a link in a checkout, a copy in a wheel.
SCRIPT = CONFIGS.parent / 'tools' / 'dist_command.sh'


def add_processes(parser: argparse.ArgumentParser) -> None:
    """On how many GPUs, and how the processes were started."""
    parser.add_argument(
        '--gpus', type=int, default=1, metavar='N', help='of this machine that train together; default %(default)s'
    )
    parser.add_argument(
        '--launcher',
        choices=('none', 'pytorch', 'slurm'),
        default='none',
        help='how the processes were started, if not by --gpus: torchrun or srun',
    )


def start_processes(args: argparse.Namespace) -> None:
    """Become the launcher of N processes, if ``--gpus`` asks for them and this is none of them.

    Raises:
        UserError: no such number; no bash.
    """
    if args.gpus < 1:
        raise UserError(f'--gpus is 1 or more; found {args.gpus}')
    if args.gpus == 1 or args.launcher != 'none':
        return
    sys.stdout.flush()
    environment = {**os.environ, 'PYTHON': sys.executable}  # which tools/python would choose itself otherwise
    try:
        os.execve(SCRIPT, [str(SCRIPT), str(args.gpus), *args.words], environment)
    except OSError as error:
        raise UserError(
            f'--gpus {args.gpus}: {SCRIPT} cannot be run ({error.strerror}): it needs bash; torchrun --nproc_per_node '
            f'{args.gpus} -m mae_transfer.command ... --launcher pytorch is the same'
        ) from error
