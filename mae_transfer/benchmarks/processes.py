"""Running functions in new processes, and within a memory limit."""

from __future__ import annotations

import contextlib
import multiprocessing
import re
import resource
import signal
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ..errors import UserError

GB = 1e9


def memory_status() -> dict[str, int]:
    """Memory of this process in bytes, by Linux's names: VmSize (address space), VmRSS (resident), VmHWM (its peak)."""
    return _read_kilobytes('/proc/self/status')


def _read_kilobytes(file: str) -> dict[str, int]:
    """The sizes in a file of Linux's /proc, in bytes."""
    return {name: int(size) * 1024 for name, size in re.findall(r'(\w+):\s+(\d+) kB', Path(file).read_text())}


@contextlib.contextmanager
def memory_limit(limit: float | None) -> Iterator[None]:
    """Limit the memory of this process to ``limit`` GB inside a ``with`` block; None for no limit.

    Raises:
        MemoryError: the block needs more memory than there is, in this process or on a GPU.
    """
    before = resource.getrlimit(resource.RLIMIT_AS)
    if limit is not None:
        # The system limits the address space, and libraries reserve far more of it than they use: add the difference.
        now = memory_status()
        resource.setrlimit(resource.RLIMIT_AS, (int(limit * GB) + now['VmSize'] - now['VmRSS'], before[1]))
    try:
        yield
    except (RuntimeError, ImportError) as error:  # ImportError: a library that is first loaded inside the block
        if not re.search('(allocate|not enough|out of) memory|bad_alloc|failed to map', str(error)):
            raise
        raise MemoryError from None
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def call_with_memory_limit(limit: float | None, function: Callable, *arguments: Any) -> Any:
    """``function(*arguments)`` inside :func:`memory_limit`."""
    with memory_limit(limit):
        return function(*arguments)


def run_in_new_process(function: Callable, *arguments: Any) -> Any:
    """``function(*arguments)`` in a fork of this process, which must not have computed anything yet.

    The new process then holds nothing but the libraries, and its memory is that of the function.

    Raises:
        MemoryError: memory ran out, or the system killed the process for that reason.
        UserError: raised by the function.
        RuntimeError: the function failed otherwise; its traceback was printed.
    """

    def work() -> None:
        try:
            sender.send(function(*arguments))
        except (MemoryError, UserError) as error:
            sender.send(error)

    context = multiprocessing.get_context('fork')
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=work)
    process.start()
    sender.close()
    try:
        result = receiver.recv()
    except EOFError:
        result = None
    process.join()
    if process.exitcode == -signal.SIGKILL:  # Linux kills a process this way when memory is full
        result = MemoryError()
    elif process.exitcode:
        given = textwrap.shorten(str(arguments), 200)  # a config is long
        raise RuntimeError(f'the process of {function.__name__}{given} ended with exit code {process.exitcode}')
    if isinstance(result, Exception):
        raise result
    return result
