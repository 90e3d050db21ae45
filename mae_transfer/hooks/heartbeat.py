"""End a run of several processes in which one stands still."""

from __future__ import annotations

import os
import sys

from mmengine.hooks import Hook
from mmengine.runner import Runner

from ..compat import telling
from ..errors import UserError, is_number
from ..paths import shown
from ..registry import HOOKS
from ..runs.heartbeat import start_heartbeat


@HOOKS.register_module()
class HeartbeatHook(Hook):
    """End a run of several processes, with a line that names the cause, if one of them stands still in a step.

    One that is stopped, or whose machine is not reached, is noticed after 16 seconds. A step that does not end, as
    where one process waits for a collective call that another never makes, is given ``seconds``, and ten times as long
    as the longest before. Validations, saving and waiting for data are no steps: others wait ten minutes for them.

    Args:
        seconds: the least time that a step is given.
    """

    def __init__(self, seconds: float = 40):
        if not is_number(seconds) or not seconds > 0:
            raise UserError(f'HeartbeatHook.seconds is a number of seconds, above 0; found {seconds!r}')
        self.seconds = seconds

    def before_train(self, runner: Runner) -> None:
        """Begin to watch."""
        runner.heartbeat = start_heartbeat(self.seconds, _end_run)

    def after_train(self, runner: Runner) -> None:
        """Watch no more."""
        runner.heartbeat.stop()


def _end_run(reason: str) -> None:
    """End this process from another thread than the main one, which waits for what does not come."""
    if telling.is_first_to_tell():
        print(f'error: {shown(reason)}: go on by --resume', file=sys.stderr, flush=True)
    os._exit(1)
