"""What all calls in Python have in common."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from .compat.worker_processes import workers_end
from .runs.console import console

P = ParamSpec('P')
R = TypeVar('R')


def python_call(call: Callable[P, R]) -> Callable[P, R]:
    """A call in Python: its log is readable, or with its keyword ``verbose`` whole
    (:mod:`mae_transfer.runs.console`), and no worker process is left behind it."""

    @functools.wraps(call)
    def called(*args: P.args, **kwargs: P.kwargs) -> R:
        with console(bool(kwargs.get('verbose'))), workers_end():
            return call(*args, **kwargs)

    return called
