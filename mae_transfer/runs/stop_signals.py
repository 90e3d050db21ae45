"""Signals that ask a run to stop: it does after the step, with a checkpoint."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

from torch import distributed

#: Ctrl-C, the end of a job's time or its preemption, and the warning before it that slurm can be asked for.
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)

#: The exit code of a run that was stopped and can go on: EX_TEMPFAIL of sysexits.h. Of Ctrl-C it is 130, as in a shell.
CAN_GO_ON = 75


class Stopped(Exception):
    """A run that was stopped by a signal, after its checkpoint was written.

    Args:
        number: the signal.
        line: what is told to the user.
    """

    def __init__(self, number: int, line: str):
        super().__init__(line)
        self.exit_code = 128 + signal.SIGINT if number == signal.SIGINT else CAN_GO_ON


class StopSignals:
    """Context in which signals that ask to stop are noted. A second Ctrl-C ends the process at once.

    Attributes:
        received: the number of the last one; 0 for none.
    """

    def __init__(self) -> None:
        self.received = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> None:
        if threading.current_thread() is threading.main_thread():  # Python handles signals only there
            self._before = {number: signal.signal(number, self._note) for number in STOPPING}

    def __exit__(self, kind: type | None, *_: object) -> None:
        if kind is Stopped and distributed.is_initialized():
            return  # the launcher sees another process end, and asks this one to stop, which it does
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and self.received == signal.SIGINT:
            os._exit(128 + number)
        self.received = number


def start_worker(initialize: Callable[[int], None] | None, worker: int) -> None:
    """Initialize a worker of a data loader, which leaves it to the run to stop.

    Terminals and slurm send these signals to every process, and a worker that ends takes the run with it. Only the
    run's own SIGTERM ends a worker.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    threading.Thread(target=_end_with_parent, name='signals', daemon=True).start()
    if initialize is not None:
        initialize(worker)


def _end_with_parent() -> None:
    while signal.sigwaitinfo([signal.SIGTERM]).si_pid != os.getppid():
        pass
    os._exit(0)
