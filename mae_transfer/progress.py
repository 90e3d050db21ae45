"""How far a long piece of work has come, and the time that is left: nothing for five seconds, then one line.

    for photo in progress(photos, 'photos read'):
        ...

    with Waiting('annotations read'):  # a single long call
        ...

On a terminal one line is rewritten; elsewhere (a log file, a notebook) a line is added every 30 seconds. Lines go to
the standard error, and only from the main process of a run.
"""

from __future__ import annotations

import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import suppress
from typing import Any, TextIO, TypeVar

from .processes import is_main_process

Item = TypeVar('Item')

#: Seconds without a word; between two lines; between two states of a line that is rewritten, of work that is counted
#: and of work that is not.
QUIET, BETWEEN_LINES, BETWEEN_STATES, BETWEEN_SECONDS = 5.0, 30.0, 0.2, 1.0


def progress(items: Iterable[Item], what: str, total: int | None = None) -> Iterator[Item]:
    """The items as they are; an item counts as done when the next one is asked for.

    Args:
        items: anything to go through.
        what: the work, the first words of the line: 'photos read'.
        total: the number of items; by default their ``len``, if they have one. Without it no time left is told.
    """
    if total is None and isinstance(items, Sized):
        with suppress(TypeError):  # a data loader has the method also where its data set has no length
            total = len(items)
    with Progress(what, total) as told:
        for done, item in enumerate(items, 1):
            yield item
            told(done)


class Progress:
    """Tells how much is done, for work that is no plain loop. A context manager, whose end ends the line.

    Args:
        what: the work, the first words of the line.
        total: how much there is to do; None if that is not known.
        stream: where lines go; by default the standard error.
        clock: gives the time in seconds.
    """

    def __init__(
        self,
        what: str,
        total: int | None = None,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.what, self.total, self.done = what, total, 0
        stream = sys.stderr if stream is None else stream  # which is None in a program without a console
        self._stream = stream if is_main_process() else None
        self._is_rewritten = stream is not None and stream.isatty()
        self._between = BETWEEN_STATES if self._is_rewritten else BETWEEN_LINES
        self._clock, self._began = clock, clock()
        self._next, self._written = self._began + QUIET, 0  # the time of the next line, signs of the last one

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __call__(self, done: int, total: int | None = None) -> None:
        """Tell, if it is time to.

        Args:
            done: how much is done.
            total: how much there is to do, where that was not known before.
        """
        self.done, self.total = done, self.total if total is None else total
        if self._stream is not None and (now := self._clock()) >= self._next:
            self._next = now + self._between
            self._write(self.line(now))

    def close(self) -> None:
        """End the line, with the time that it took; nothing, if nothing was told."""
        if self._written:
            self._write(self.last_line(self._clock()), '\n')
            self._written = 0
        self._stream = None

    def line(self, now: float) -> str:
        """What is told at this time."""
        seconds, parts = now - self._began, [self._share()]
        if self.done and seconds > 0:
            rate = self.done / seconds
            parts.append(f'{rate:,.0f}/s' if rate >= 10 else f'{rate:.1f}/s' if rate >= 1 else f'{1 / rate:.3g} s each')
            if self.total is not None:
                parts.append(f'{duration(max(0, self.total - self.done) / rate)} left')
        return f'{self.what}: {", ".join(parts)}'

    def last_line(self, now: float) -> str:
        """What is told at the end, whether the work is done or failed."""
        return f'{self.what}: {self._share()} in {duration(now - self._began)}'

    def _share(self) -> str:
        return f'{self.done:,}' if self.total is None else f'{self.done:,} of {self.total:,}'

    def _write(self, line: str, end: str = '') -> None:
        if self._stream is None:
            return
        if self._is_rewritten:
            line = line[: shutil.get_terminal_size().columns - 1]  # a longer one would be two lines
            text = f'\r{line.ljust(self._written)}{end}'
        else:
            text = f'{line}\n'
        self._written = len(line)
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):  # the terminal is gone, or the stream closed: the work goes on
            self._stream = None


class Waiting(Progress):
    """Tells that work goes on whose parts are not counted, or not all of them: how long it has taken so far.

    A thread tells it. Where a part of the work can be counted, calling it tells the share that is done as
    :class:`Progress` does.

    Args:
        what: the work, the first words of the line.
        at_once: whether it is known to be long, and is told when it begins. For calls that keep Python's lock, such as
            reading a large JSON file: the thread has to wait for them.
        others: ``stream`` and ``clock``, as in :class:`Progress`.
    """

    _stop: threading.Event | None = None

    def __init__(self, what: str, at_once: bool = False, **others: Any) -> None:
        super().__init__(what, **others)
        self._at_once = at_once

    def __enter__(self) -> Waiting:
        if self._at_once:
            self._write(f'{self.what}: begun')
        if self._stream is not None:
            self._stop = threading.Event()
            self._thread = threading.Thread(target=self._tell, args=(self._stop,), daemon=True)
            self._thread.start()
        return self

    def __call__(self, done: int, total: int | None = None) -> None:
        """Note what is told next.

        Args:
            done: how much is done.
            total: how much there is to do, where that was not known before.
        """
        self.done, self.total = done, self.total if total is None else total

    def close(self) -> None:
        """End the line, with the time that it took; nothing, if nothing was told."""
        if self._stop is not None:
            self._stop.set()
            self._thread.join()
            self._stop = None
        super().close()

    def line(self, now: float) -> str:
        """What is told at this time."""
        return super().line(now) if self.done else f'{self.what}: {duration(now - self._began)} so far'

    def last_line(self, now: float) -> str:
        """What is told at the end, whether the work is done or failed."""
        return super().last_line(now) if self.done else f'{self.what}: {duration(now - self._began)}'

    def _tell(self, stop: threading.Event) -> None:
        between = BETWEEN_SECONDS if self._is_rewritten else BETWEEN_LINES
        wait = QUIET
        while not stop.wait(wait):
            self._write(self.line(self._clock()))
            wait = between


def duration(seconds: float) -> str:
    """A time in its two largest units: '8 s', '3 min 20 s', '2 h 5 min', '1 d 4 h'."""
    whole = round(seconds)
    for unit, size, smaller, part in (('d', 86400, 'h', 3600), ('h', 3600, 'min', 60), ('min', 60, 's', 1)):
        if whole >= size:
            return f'{whole // size} {unit} {whole % size // part} {smaller}'
    return f'{whole} s'
