"""PyTorch's launcher ``torchrun``, whose report of a failed process is one line here.

    python -m mae_transfer.compat.torchrun OPTIONS-OF-TORCHRUN tools/train.py CONFIG --launcher pytorch ...

``torchrun`` ends with a traceback of its own and a table of the processes. A process of ours that ends by a mistake of
the user's, or that was asked to stop, has told so itself; of one that was killed nobody else can tell.
"""

from __future__ import annotations

import logging
import os
import signal
import sys

from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.run import get_args_parser
from torch.distributed.run import main as torchrun

from ..runs.stop_signals import CAN_GO_ON, STOPPING
from . import telling


def main() -> int:
    """Start the processes; returns the exit code of the one that ended first, 128 + N for signal N."""
    logging.getLogger('torch.distributed.elastic').setLevel(logging.CRITICAL)
    options = sys.argv[1:]
    if '--signals_to_handle' in get_args_parser().format_help():  # older ones do not pass on SIGUSR1
        options = ['--signals_to_handle', ','.join(number.name for number in STOPPING), *options]
    launcher = os.getpid()
    telling.forget_told(launcher)  # what a killed launcher with this process id left
    telling.tell_for(launcher)
    try:
        torchrun(options)
    except ChildFailedError as error:
        return _tell(error, *telling.what_was_told(launcher))
    except SignalException as stopped:  # the processes have been asked to stop, and have ended
        return 128 + stopped.sigval if stopped.sigval == signal.SIGINT else CAN_GO_ON
    finally:
        telling.forget_told(launcher)
    return 0


def _tell(error: ChildFailedError, is_told: bool, left: str) -> int:
    """Tell why the run ended, unless a process has; returns the exit code.

    Args:
        left: a line to tell if nothing more is known.
    """
    codes = {rank: failure.exitcode for rank, failure in error.failures.items()}
    # torchrun ends the others by SIGTERM, and a process that does not follow by SIGKILL.
    killed = [rank for rank, code in codes.items() if code < 0 and code != -signal.SIGTERM]
    if is_told or not killed:
        if left and not is_told:
            print(left, file=sys.stderr)
        return next((code for code in codes.values() if code > 0), 1)
    name = signal.Signals(-codes[killed[0]]).name
    cause = ', as the system does when the memory is full' if name == 'SIGKILL' else ''
    print(f'error: process {killed[0]} was ended by {name}{cause}: go on by --resume', file=sys.stderr)
    return 128 - codes[killed[0]]


if __name__ == '__main__':
    sys.exit(main())
