"""Progress with the time that is left: when it is told, where, and what it says."""

from __future__ import annotations

import io
import multiprocessing
import os
import subprocess
import sys
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mae_transfer import progress as module
from mae_transfer.processes import is_main_process
from mae_transfer.progress import Progress, Waiting, duration, progress
from tests.tools.commands import REPOSITORY


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def work(stream: io.StringIO, items: int, seconds: float, total: int | None = None) -> str:
    """What is told of work on so many items that take so long each."""
    clock = Clock()
    with Progress('photos read', total, stream, clock) as told:
        for done in range(1, items + 1):
            clock.now += seconds
            told(done)
    return stream.getvalue()


@pytest.mark.parametrize('stream', [io.StringIO(), Terminal()])
def test_nothing_is_told_within_five_seconds(stream):
    assert work(stream, 49, 0.1, 49) == ''


def test_a_line_every_half_minute_in_a_file():
    lines = work(io.StringIO(), 100, 1.0, 100).splitlines()
    assert lines == [
        'photos read: 5 of 100, 1.0/s, 1 min 35 s left',
        'photos read: 35 of 100, 1.0/s, 1 min 5 s left',
        'photos read: 65 of 100, 1.0/s, 35 s left',
        'photos read: 95 of 100, 1.0/s, 5 s left',
        'photos read: 100 of 100 in 1 min 40 s',
    ]


def test_one_line_that_is_rewritten_on_a_terminal():
    told = work(Terminal(), 80, 0.125, 80)
    assert told.count('\n') == 1 and told.startswith('\rphotos read: 40 of 80, 8.0/s, 5 s left')
    states = told.removesuffix('\n').split('\r')[1:]
    assert len(states) == 22 and states[-1].rstrip() == 'photos read: 80 of 80 in 10 s'  # every second one, and the end
    assert all(len(new) >= len(old.rstrip()) for old, new in zip(states, states[1:])), 'signs of a longer line stay'


def test_a_line_is_not_longer_than_the_terminal(monkeypatch):
    monkeypatch.setenv('COLUMNS', '20')
    assert max(map(len, work(Terminal(), 100, 0.1, 100).split('\r'))) <= 20


def test_no_time_left_is_told_where_the_end_is_not_known():
    assert work(io.StringIO(), 20_000, 0.0005).splitlines() == [
        'photos read: 10,000, 2,000/s',
        'photos read: 20,000 in 10 s',
    ]


def test_slow_items_have_seconds_each():
    assert work(io.StringIO(), 2, 20, 3).splitlines()[0] == 'photos read: 1 of 3, 20 s each, 40 s left'


@given(st.integers(1, 300), st.integers(1, 400).map(lambda eighths: eighths / 8), st.integers(0, 500))
def test_what_is_told_is_true(items, seconds, more):
    lines = work(io.StringIO(), items, seconds, items + more).splitlines()
    assert bool(lines) == (items * seconds >= 5)
    for line in lines[:-1]:
        done = int(line.split(': ')[1].split(' of ')[0].replace(',', ''))
        left = (items + more - done) * seconds
        assert any(line.endswith(f'{duration(time)} left') for time in (left, left - 1e-6, left + 1e-6)), line


def clocked(monkeypatch, stream) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module.time, 'monotonic', clock)
    monkeypatch.setattr(Progress.__init__, '__defaults__', (None, None, clock))
    monkeypatch.setattr(sys, 'stderr', stream)
    return clock


def test_an_iterator_gives_the_items_and_counts_them(monkeypatch):
    clock, found = clocked(monkeypatch, stream := io.StringIO()), []
    for item in progress('abc', 'letters'):
        found.append(item)
        clock.now += 4
    assert found == ['a', 'b', 'c']
    assert stream.getvalue().splitlines() == ['letters: 2 of 3, 4 s each, 4 s left', 'letters: 3 of 3 in 12 s']


def test_a_line_ends_where_the_work_fails(monkeypatch):
    clock = clocked(monkeypatch, stream := Terminal())
    with pytest.raises(KeyError):
        for item in progress(iter([{}, {}]), 'items', 2):
            clock.now += 9
            if stream.getvalue():
                raise KeyError(item)
    assert stream.getvalue().endswith('\n') and 'items: 1 of 2 in 18 s' in stream.getvalue()


def test_only_the_main_process_tells(monkeypatch):
    assert is_main_process()
    monkeypatch.setenv('RANK', '1')
    assert not is_main_process() and work(io.StringIO(), 100, 1.0) == ''
    monkeypatch.setenv('RANK', '0')
    assert work(io.StringIO(), 100, 1.0)
    with monkeypatch.context() as patch:
        patch.setattr(multiprocessing, 'parent_process', lambda: object())
        assert not is_main_process() and work(io.StringIO(), 100, 1.0) == ''
    monkeypatch.delenv('RANK')
    monkeypatch.setenv('SLURM_PROCID', '3')
    assert not is_main_process()


def test_a_stream_that_is_gone_ends_no_work(monkeypatch):
    class Gone(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

    work(Gone(), 100, 1.0)
    monkeypatch.setattr(sys, 'stderr', None)
    assert list(progress('ab', 'letters')) == ['a', 'b']


@pytest.fixture
def quick(monkeypatch):
    """A stream for what is told at once, and every hundredth of a second."""
    for name in ('QUIET', 'BETWEEN_LINES', 'BETWEEN_SECONDS'):
        monkeypatch.setattr(module, name, 0.01)
    return io.StringIO()


def until(condition) -> None:
    """Wait, for as long as a busy machine may need."""
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize('stream', [io.StringIO(), Terminal()])
def test_a_short_wait_is_not_told(stream):
    with Waiting('annotations read', stream=stream):
        time.sleep(0.1)
    assert stream.getvalue() == ''


def test_a_wait_is_told_by_a_thread_that_ends(quick):
    before = threading.active_count()
    with Waiting('annotations read', stream=quick, clock=(clock := Clock())):
        clock.now += 12
        until(lambda: quick.getvalue().count('\n') > 2)
        assert threading.active_count() == before + 1
    lines = quick.getvalue().splitlines()
    assert {*lines[:-1]} == {'annotations read: 12 s so far'} and lines[-1] == 'annotations read: 12 s'
    assert threading.active_count() == before


def test_a_wait_whose_parts_are_counted_tells_the_time_left(quick):
    with Waiting('objects compared', stream=quick, clock=(clock := Clock())) as told:
        clock.now += 10
        told(20, 30)
        until(lambda: quick.getvalue())
    lines = quick.getvalue().splitlines()
    assert lines[0] == 'objects compared: 20 of 30, 2.0/s, 5 s left'
    assert lines[-1] == 'objects compared: 20 of 30 in 10 s'


def test_a_wait_that_is_known_to_be_long_is_told_when_it_begins():
    with Waiting('annotations read', at_once=True, stream=(stream := Terminal())):
        assert stream.getvalue() == '\rannotations read: begun'
    assert stream.getvalue() == '\rannotations read: begun\rannotations read: 0 s  \n'


def test_a_wait_that_fails_ends_its_line_and_its_thread(quick):
    before = threading.active_count()
    with pytest.raises(KeyError), Waiting('annotations read', stream=quick):
        until(lambda: quick.getvalue())
        raise KeyError
    assert threading.active_count() == before and quick.getvalue().endswith('\n')


def test_other_processes_do_not_wait_aloud(quick, monkeypatch):
    monkeypatch.setenv('RANK', '1')
    before = threading.active_count()
    with Waiting('annotations read', stream=quick):
        time.sleep(0.1)
        assert threading.active_count() == before
    assert quick.getvalue() == ''


@pytest.mark.parametrize(
    'seconds, text',
    [
        *((0, '0 s'), (59.4, '59 s'), (59.6, '1 min 0 s'), (200, '3 min 20 s'), (3600, '1 h 0 min')),
        *((7530, '2 h 5 min'), (86399.9, '1 d 0 h'), (100_800, '1 d 4 h')),
    ],
)
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_it_needs_neither_pytorch_nor_mmengine():
    code = (
        'import sys, types; package = types.ModuleType("mae_transfer"); package.__path__ = ["mae_transfer"]\n'
        'sys.modules["mae_transfer"] = package; import mae_transfer.progress\n'
        'assert not {"torch", "mmengine", "numpy"} & set(sys.modules)'
    )
    subprocess.run([sys.executable, '-c', code], check=True, cwd=REPOSITORY, env={**os.environ, 'PYTHONPATH': ''})
