"""Disks that are full, containers with little shared memory, limits of open files."""

from __future__ import annotations

import resource
from types import SimpleNamespace

from mae_transfer.doctor import machine


def room(monkeypatch, free: float, total: float = 100) -> None:
    usage = SimpleNamespace(free=free * 1e9, total=total * 1e9)
    monkeypatch.setattr(machine.shutil, 'disk_usage', lambda folder: usage)


def test_the_disk(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    room(monkeypatch, 75)
    (found,) = machine.disk()
    assert (found.state, found.found) == ('ok', f'75 GB free in {tmp_path}')
    room(monkeypatch, 1.25)
    (found,) = machine.disk()
    assert (found.state, found.found) == ('wrong', f'1.2 GB free in {tmp_path}') and not found.is_failure
    monkeypatch.setattr(machine.os, 'access', lambda *_: False)
    (found,) = machine.disk()
    assert found.found == f'{tmp_path} cannot be written to'


def test_shared_memory(monkeypatch, tmp_path):
    monkeypatch.setattr(machine, 'SHARED', tmp_path)
    room(monkeypatch, 0.064, 0.064)
    (found,) = machine.shared_memory()
    assert found.state == 'wrong' and '--shm-size=8g' in found.advice
    room(monkeypatch, 8, 16)
    assert [finding.state for finding in machine.shared_memory()] == ['ok']
    monkeypatch.setattr(machine, 'SHARED', tmp_path / 'none')
    assert not list(machine.shared_memory())


def test_open_files(monkeypatch):
    for limits, state, words in (
        ((20000, 20000), 'ok', 'up to 20000 a process'),
        ((resource.RLIM_INFINITY,) * 2, 'ok', 'any number'),
        ((256, resource.RLIM_INFINITY), 'wrong', 'up to 256 a process'),
        ((256, 4096), 'wrong', 'up to 256 a process'),
    ):
        monkeypatch.setattr(resource, 'getrlimit', lambda _, limits=limits: limits)
        (found,) = machine.open_files()
        assert (found.state, found.found) == (state, words)
    assert found.advice == 'workers may need more: ulimit -n 4096'
