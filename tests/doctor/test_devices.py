"""GPUs and drivers that do not fit, operators that compute wrongly, compilers that are missing."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest
import torch

from mae_transfer.compat import native_ops as compat
from mae_transfer.doctor import devices

SMI = '| NVIDIA-SMI 535.104.05    Driver Version: 535.104.05    CUDA Version: 12.2     |'


@pytest.fixture
def without_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    monkeypatch.delenv('CUDA_VISIBLE_DEVICES', raising=False)


def driver(monkeypatch, told: str | None) -> None:
    monkeypatch.setattr(devices.shutil, 'which', lambda name: None if told is None else '/usr/bin/nvidia-smi')
    monkeypatch.setattr(devices.subprocess, 'run', lambda *_, **__: SimpleNamespace(stdout=told))


def test_no_gpu_is_no_fault(without_gpu, monkeypatch):
    driver(monkeypatch, None)
    (found,) = devices.gpus()
    assert found.state == 'ok' and found.found.startswith(f'none: {torch.get_num_threads()} threads of torch on ')


@pytest.mark.parametrize(
    'built, visible, words',
    [
        (None, None, ('is built without CUDA', 'choose the command')),
        ('13.0', None, ('is built for CUDA 13.0, and the driver 535.104.05 has CUDA 12.2', 'a newer driver')),
        ('13.0', '', ('is built for CUDA 13.0', "CUDA_VISIBLE_DEVICES='' may hide them")),
    ],
)
def test_a_driver_without_a_torch_that_uses_it(built, visible, words, without_gpu, monkeypatch):
    driver(monkeypatch, SMI)
    monkeypatch.setattr(torch.version, 'cuda', built)
    if visible is not None:
        monkeypatch.setenv('CUDA_VISIBLE_DEVICES', visible)
    (found,) = devices.gpus()
    assert found.state == 'wrong' and words[0] in found.found and words[1] in found.advice


def test_a_driver_that_finds_no_gpu_counts_as_none(monkeypatch):
    driver(monkeypatch, "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.")
    assert devices.driver_and_its_cuda() is None
    driver(monkeypatch, SMI)
    assert devices.driver_and_its_cuda() == ('535.104.05', '12.2')


def test_a_gpu_that_this_torch_is_not_built_for(monkeypatch):
    def refuse(*_, **__):
        raise RuntimeError('CUDA error: no kernel image is available for execution on the device\nmore')

    properties = SimpleNamespace(name='Tesla K80', total_memory=12e9)
    monkeypatch.setattr(torch.cuda, 'get_device_properties', lambda number: properties)
    monkeypatch.setattr(torch, 'ones', refuse)
    found = devices._gpu(0)
    assert found.is_failure and found.found == (
        'Tesla K80, 12 GB: RuntimeError: CUDA error: no kernel image is available for execution on the device'
    )


def test_native_operators_run_here(without_gpu):
    (found,) = devices.native_ops()
    assert found.state == 'ok' and 'NMS and RoIAlign run, by ' in found.found


def test_native_operators_that_compute_wrongly(without_gpu, monkeypatch):
    monkeypatch.setattr('mmcv.ops.nms', lambda boxes, scores, threshold: (boxes, torch.arange(3)))
    (found,) = devices.native_ops()
    assert found.is_failure and 'give wrong numbers' in found.found


def test_no_mmcv_is_said(monkeypatch):
    monkeypatch.setattr(compat, 'install', lambda: 'none')
    (found,) = devices.native_ops()
    assert (found.state, found.found) == ('missing', 'no mmcv') and found.is_failure


def test_a_compiler_that_is_missing_is_no_failure(without_gpu, monkeypatch):
    monkeypatch.setenv('CXX', 'no-such-compiler')
    (found,) = devices.compiler()
    assert found.state == 'missing' and 'no-such-compiler' in found.found and not found.is_failure
    monkeypatch.setenv('CXX', sys.executable)
    assert [finding.state for finding in devices.compiler()] == ['ok']
