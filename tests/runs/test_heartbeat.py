"""A process that stands still ends the run, and is named; one that works does not."""

from __future__ import annotations

import json
import threading
import time
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from unittest import mock

import pytest
from torch import distributed

from mae_transfer.runs import heartbeat
from mae_transfer.runs.heartbeat import (
    SILENT_BEATS,
    Beat,
    Heartbeat,
    NoHeartbeat,
    start_heartbeat,
    where_is_main_thread,
)

BEAT = 0.03


class Run:
    """Three processes, each a heartbeat in this one; ``reasons`` are those for which they ended."""

    def __init__(self, monkeypatch, seconds: float = 10):
        self.reasons: dict[int, str] = {}
        self.places = {rank: f'mae.py:{rank} forward' for rank in range(3)}
        monkeypatch.setattr(heartbeat, 'where_is_main_thread', lambda: self.places[self.rank_here()])
        store = distributed.HashStore()
        self.all: list[Heartbeat] = []
        self.all += [
            Heartbeat(seconds, rank, 3, store, lambda reason, rank=rank: self.reasons.update({rank: reason}), BEAT)
            for rank in range(3)
        ]

    def rank_here(self) -> int:
        return next((one.rank for one in self.all if threading.current_thread() in one._threads), 0)

    @contextmanager
    def step(self, *ranks: int):
        """A step of all processes, or of some."""
        with ExitStack() as steps:
            for rank in ranks or range(3):
                steps.enter_context(self.all[rank].step(4))
            yield

    def steps(self, count: int, duration: float = 0.02) -> None:
        for _ in range(count):
            with self.step():
                time.sleep(duration)

    def hurry(self) -> None:
        """Give a step less time from now on."""
        self.all[0].seconds = 0.3

    def wait(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while len(self.reasons) < 3 and time.monotonic() < deadline:
            time.sleep(0.01)

    def stop(self) -> None:
        for one in self.all:
            one.stop()


@pytest.fixture
def run(monkeypatch):
    run = Run(monkeypatch)
    yield run
    run.stop()


def test_a_run_that_goes_on_is_left_alone(run):
    run.steps(30)
    run.hurry()
    time.sleep(0.6)  # a validation, longer than a step may be
    assert run.reasons == {}


def test_a_step_that_does_not_end_is_told_with_the_place_of_each_process(run):
    run.steps(3)
    run.hurry()
    with run.step():
        run.wait(5)
    assert set(run.reasons) == {0, 1, 2} and len(set(run.reasons.values())) == 1
    line = run.reasons[0]
    assert line.startswith('step 4 has not ended for 0 seconds, the longest before took 0.0: process 0 is at mae.py:0')
    assert 'process 2 is at mae.py:2 forward' in line and 'default_hooks.heartbeat.seconds' in line


def test_steps_may_be_ten_times_as_long_as_the_longest_before(run):
    run.steps(1, 0.2)
    run.hurry()
    run.steps(1, 0.8)
    assert run.reasons == {}


def test_nothing_is_known_of_the_first_step(run):
    run.hurry()
    run.steps(1, 1.0)
    assert run.reasons == {}


@pytest.mark.parametrize('frozen', [0, 2])
def test_a_process_that_tells_nothing_any_more_is_named(run, frozen):
    run.steps(3)
    with run.step():
        time.sleep(5 * BEAT)
        run.all[frozen]._ended.set()
        run.wait(2)
    assert set(run.reasons) == {0, 1, 2} - {frozen}
    assert all(
        line == f'process {frozen} stands still, last at mae.py:{frozen} forward: it was stopped, or its '
        'machine is not reached'
        for line in run.reasons.values()
    )


def test_others_wait_for_one_that_waits_for_data_or_writes(run):
    run.steps(3)
    run.hurry()
    with run.step(0, 2):
        time.sleep(0.6)
    assert run.reasons == {}


def test_a_pause_is_no_part_of_a_step(run):
    run.steps(3)
    run.hurry()
    with run.step(), run.all[0].pause(), run.all[1].pause(), run.all[2].pause():
        time.sleep(0.6)
    assert run.reasons == {}
    with run.step():  # it was no long step, either
        run.wait(5)
    assert set(run.reasons) == {0, 1, 2}


def test_they_do_not_wait_for_ever(run, monkeypatch):
    monkeypatch.setattr(heartbeat, '_BETWEEN', 0.5)
    run.steps(3)
    run.hurry()
    with run.step(0, 2):
        run.wait(5)
    assert 'process 1 is at mae.py:1 forward, between two steps' in run.reasons[1]


def test_between_two_steps_a_process_may_be_silent(run):
    """Writing the results of a validation can hold the interpreter for long."""
    run.steps(3)
    time.sleep(5 * BEAT)
    run.all[1]._ended.set()
    time.sleep(3 * SILENT_BEATS * BEAT)
    assert run.reasons == {}
    with run.step(0, 2):  # which wait for it
        run.wait(1)
    assert run.reasons[0].startswith('process 1 stands still')


def test_beats_are_counted_not_seconds(run, monkeypatch):
    """All processes may be stopped together, and go on: Ctrl-Z, a laptop that sleeps."""
    run.steps(3)
    clock = time.monotonic
    monkeypatch.setattr(heartbeat.time, 'monotonic', lambda: clock() + 3600)
    time.sleep(5 * BEAT)
    assert run.reasons == {}


def test_process_0_that_is_not_reached_ends_the_others():
    master = distributed.TCPStore('127.0.0.1', 0, None, True, timedelta(seconds=0.2), wait_for_workers=False)
    master.set('0', json.dumps(Beat(0, None, 0.0, 0.0, '')))
    store = distributed.TCPStore('127.0.0.1', master.port, None, False, timedelta(seconds=0.2))
    reasons: list[str] = []
    Heartbeat(10, 1, 2, store, reasons.append, BEAT)
    time.sleep(5 * BEAT)
    del master
    time.sleep(3 * BEAT)
    assert reasons == []  # the run may just have ended
    deadline = time.monotonic() + 5
    while not reasons and time.monotonic() < deadline:
        time.sleep(0.01)
    assert reasons == ['process 0 does not answer: it was stopped, or its machine is not reached']


def test_the_place_of_the_main_thread():
    found: list[str] = []
    thread = threading.Thread(target=lambda: found.append(where_is_main_thread()))
    thread.start()
    thread.join()
    assert found[0].startswith(('threading.py:', 'test_heartbeat.py:'))


def test_a_process_that_does_not_reach_the_first_trains_unwatched(monkeypatch):
    """Behind a firewall, e.g."""
    monkeypatch.setattr(heartbeat.distributed, 'is_initialized', lambda: True)
    monkeypatch.setattr(heartbeat.distributed, 'get_world_size', lambda: 2)
    monkeypatch.setattr(heartbeat.distributed, 'get_rank', lambda: 1)
    monkeypatch.setattr(heartbeat.distributed, 'broadcast_object_list', lambda port: port.__setitem__(0, 1234))
    monkeypatch.setenv('MASTER_ADDR', 'first')
    with (
        mock.patch.object(heartbeat.distributed, 'TCPStore', side_effect=distributed.DistNetworkError('refused')),
        mock.patch.object(heartbeat, 'print_log') as told,
    ):
        assert type(start_heartbeat(40, print)) is NoHeartbeat
    assert told.call_args[0][0].startswith('process 1 does not reach port 1234 of first: nobody notices')
