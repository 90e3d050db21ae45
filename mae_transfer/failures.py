"""Why a run ended, in one line, where an error of another library says it."""

from __future__ import annotations

import errno
import re
import traceback

from .compat import telling
from .errors import UserError, own_line
from .kinds import unknown_type


def user_line(error: Exception) -> str | None:
    """One line for a mistake of the user's; None for another error."""
    if isinstance(error, UserError):
        return own_line(error)
    return unknown_type(error) if isinstance(error, KeyError) else None


def worker_failure(error: Exception) -> str | None:
    """One line for an error that says that a data loader's worker has ended; None for another error."""
    worker = re.search(r'DataLoader worker .*?(?:killed by signal: (\w+)|exited unexpectedly)', str(error))
    modules = (frame.f_globals.get('__name__') for frame, _ in traceback.walk_tb(error.__traceback__))
    is_of_pipe = not isinstance(error, RuntimeError) and 'torch.utils.data.dataloader' in modules
    if not worker and not is_of_pipe:
        return None
    how = f'was ended by the signal {worker[1]}' if worker and worker[1] else 'ended unexpectedly'
    return (
        f"a data loader's worker {how}, as when the memory is full: lower train_dataloader.num_workers or "
        'prefetch_factor, then --resume'
    )


def disk_failure(error: Exception) -> str | None:
    """One line for an error that says that a disk is full, or a file too large for it; None for another error."""
    if not isinstance(error, OSError) or error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return None
    return f'{error.filename or "a file"} cannot be written: {error.strerror}: make room there, then --resume'


def peer_failure(error: Exception) -> str | None:
    """One line for an error that says that another process of the run has ended; None for another error."""
    message = str(error)
    ended = r'Connection (closed by peer|reset by peer|refused)|Broken pipe|Timed out waiting'
    if not telling.has_several_processes() or not re.search(ended, message):
        return None
    cause = message.strip().splitlines()[0][:160]
    return f'another process of the run has ended or does not answer ({cause}): go on by --resume'
