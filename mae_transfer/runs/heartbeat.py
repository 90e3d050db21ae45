"""Processes that watch each other while they train, because one that stands still lets the others wait for ever."""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

from mmengine.logging import print_log
from torch import distributed

from ..errors import shorten

#: Seconds between two beats; so many of process 0's beats in which another one shows no sign of life end the run.
BEAT, SILENT_BEATS = 2.0, 8
#: Seconds that a step may wait for a process that is between two steps.
_BETWEEN = 600.0


class Beat(NamedTuple):
    """What a process tells the others.

    Args:
        number: of the beat.
        step: number of the step that it makes; None between two steps: it waits for data, validates, or writes.
        seconds: how long it has been at that.
        longest: seconds of its longest step so far; 0 before the first one has ended.
        where: the line of Python's code that its main thread is in.
        reason: why all processes are to end, of process 0; '' where they are not.
    """

    number: int
    step: int | None
    seconds: float
    longest: float
    where: str
    reason: str = ''


class NoHeartbeat:
    """That of a single process, which nobody watches."""

    def step(self, number: int) -> AbstractContextManager:
        """Around a step of the training."""
        return nullcontext()

    def pause(self) -> AbstractContextManager:
        """Around what may take its time within a step."""
        return nullcontext()

    def stop(self) -> None:
        """Watch no more."""


class Heartbeat(NoHeartbeat):
    """Tells the other processes what this one is doing, and ends the run if one of them stands still.

    Args:
        seconds: a step that takes longer, and longer than ten times the longest before, ends the run.
        rank, world: number of this process, and of all.
        store: which all processes share.
        end: is called once with the reason.
        beat: seconds between two beats.
    """

    def __init__(
        self,
        seconds: float,
        rank: int,
        world: int,
        store: distributed.Store,
        end: Callable[[str], None],
        beat: float = BEAT,
    ):
        self.seconds, self.rank, self.world, self.beat = seconds, rank, world, beat
        self._step: int | None = None
        self._since, self._longest, self._paused = time.monotonic(), 0.0, 0.0
        self._store, self._end = store, end
        self._store.set(str(rank), json.dumps(self._beat(0)._replace(where='its start')))
        self._seen: dict[int, tuple[int, int]] = {}  # of each process the last beat, and when it was seen
        self._ended = threading.Event()
        self._unanswered = 0
        works = [self._exchange] if rank == 0 else [self._exchange, self._wait_for_answers]
        self._threads = [threading.Thread(target=work, name='heartbeat', daemon=True) for work in works]
        for thread in self._threads:
            thread.start()

    @contextmanager
    def step(self, number: int) -> Iterator[None]:
        began = time.monotonic()
        self._step, self._since, self._paused = number, began, 0.0
        try:
            yield
        finally:
            # A single one, as when all waited for process 0, is forgotten with time.
            self._longest = max(0.98 * self._longest, time.monotonic() - began - self._paused)
            self._step, self._since = None, time.monotonic()

    @contextmanager
    def pause(self) -> Iterator[None]:
        step, since, began = self._step, self._since, time.monotonic()
        self._step, self._since = None, began
        try:
            yield
        finally:
            paused = time.monotonic() - began
            self._paused += paused
            self._step, self._since = step, since + paused

    def stop(self) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join(self.beat)  # of which one may wait for an answer

    def _exchange(self) -> None:
        """Tell and hear until the end."""
        number = 0
        while not self._ended.wait(self.beat):
            number += 1
            try:
                self._store.set(str(self.rank), json.dumps(self._beat(number)))
                reason = self._judge(number) if self.rank == 0 else self._look_at_first(number)
                self._unanswered = 0
            except distributed.DistError:  # counted by _wait_for_answers
                continue
            if not reason:
                continue
            if self.rank == 0:
                self._store.set('0', json.dumps(self._beat(number)._replace(reason=reason)))
                self._ended.wait(2 * self.beat)  # until the others have read it
            self._end_once(reason)

    def _wait_for_answers(self) -> None:
        """See that process 0 answers: a store's own timeouts do not end where its machine stands still."""
        while not self._ended.wait(self.beat):
            self._unanswered += 1
            if self._unanswered >= SILENT_BEATS:
                self._end_once('process 0 does not answer: it was stopped, or its machine is not reached')

    def _end_once(self, reason: str) -> None:
        if not self._ended.is_set():
            self._ended.set()
            self._end(reason)

    def _beat(self, number: int) -> Beat:
        return Beat(number, self._step, time.monotonic() - self._since, self._longest, where_is_main_thread())

    def _silence(self, rank: int, beat: Beat, now: int) -> int:
        """In how many beats of this process another one has not told anything new.

        They are counted, as seconds go on while all processes are stopped.
        """
        number, seen = self._seen.get(rank, (-1, now))
        if beat.number != number:
            self._seen[rank] = beat.number, now
            return 0
        return now - seen

    def _look_at_first(self, now: int) -> str | None:
        """The reason to end that process 0 has found, or that it stands still itself."""
        beat = Beat(*json.loads(self._store.get('0')))  # unlike `check` it does not wait for ever
        is_silent = self._silence(0, beat, now) >= SILENT_BEATS and self._step is not None
        return beat.reason or (_silent_line({0: beat}) if is_silent else None)

    def _judge(self, now: int) -> str | None:
        """The reason to end the run; None if all is well."""
        ranks = [rank for rank in range(self.world) if self._store.check([str(rank)])]
        beats = {rank: Beat(*json.loads(self._store.get(str(rank)))) for rank in ranks}
        silent = {rank: beat for rank, beat in beats.items() if self._silence(rank, beat, now) >= SILENT_BEATS}
        if silent and any(beat.step is not None for beat in beats.values()):
            return _silent_line(silent)
        return self._late_step(beats)

    def _late_step(self, beats: dict[int, Beat]) -> str | None:
        """The reason to end a step that takes too long; None if none does."""
        longest = max(beat.longest for beat in beats.values())
        late = max(
            (beat for beat in beats.values() if beat.step is not None), key=lambda beat: beat.seconds, default=None
        )
        allowed = max(self.seconds, 10 * longest)
        if any(beat.step is None for beat in beats.values()):  # it may wait for data, or write
            allowed = max(allowed, _BETWEEN)
        if not longest or late is None or late.seconds < allowed:
            return None
        return (
            f'step {late.step} has not ended for {late.seconds:.0f} seconds, the longest before took {longest:.1f}: '
            f'{_places(beats)}; if such steps are right, raise default_hooks.heartbeat.seconds'
        )


def where_is_main_thread() -> str:
    """The line of Python's code that the main thread is in, e.g. 'mae.py:120 forward'."""
    frame = sys._current_frames().get(threading.main_thread().ident or 0)
    if frame is None:
        return 'its end'
    return f'{Path(frame.f_code.co_filename).name}:{frame.f_lineno} {frame.f_code.co_name}'


def _places(beats: dict[int, Beat]) -> str:
    """Which processes are where."""
    at: dict[str, list[str]] = {}
    for rank, beat in beats.items():
        place = beat.where if beat.step is not None else f'{beat.where}, between two steps'
        at.setdefault(place, []).append(str(rank))
    return shorten((f'process {", ".join(ranks)} is at {place}' for place, ranks in at.items()), 8)


def _silent_line(silent: dict[int, Beat]) -> str:
    ranks, where = ', '.join(map(str, silent)), next(iter(silent.values())).where
    return f'process {ranks} stands still, last at {where}: it was stopped, or its machine is not reached'


def start_heartbeat(seconds: float, end: Callable[[str], None]) -> NoHeartbeat:
    """A heartbeat of all processes of the run. Every process must call it.

    Args:
        seconds, end: see :class:`Heartbeat`.
    """
    if not distributed.is_initialized() or distributed.get_world_size() == 1:
        return NoHeartbeat()
    rank, world, patience = distributed.get_rank(), distributed.get_world_size(), timedelta(seconds=SILENT_BEATS * BEAT)
    # An own store: the one of the processes' group has no public way to it.
    host, port = os.environ.get('MASTER_ADDR', '127.0.0.1'), [0]
    if rank == 0:
        store = distributed.TCPStore(host, 0, None, True, patience, wait_for_workers=False)
        watch, port = Heartbeat(seconds, rank, world, store, end), [store.port]
    distributed.broadcast_object_list(port)
    if rank > 0:
        try:
            watch = Heartbeat(seconds, rank, world, distributed.TCPStore(host, port[0], None, False, patience), end)
        except distributed.DistError:
            print_log(
                f'process {rank} does not reach port {port[0]} of {host}: nobody notices if it stands still',
                logger='current',
                level=logging.WARNING,
            )
            return NoHeartbeat()
    return watch
