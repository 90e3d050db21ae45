"""The loss of the whole batch in the log. A test with two processes: tests/tools/test_dist_train.py."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.logging import MessageHub

from mae_transfer.hooks import GlobalLossHook
from mae_transfer.runner import StrictRunner
from mae_transfer.runs import deferred_scalars
from mae_transfer.runs.deferred_scalars import DeferredScalars
from tests.helpers import photo_folder, pretraining


@pytest.fixture
def runner():
    """What the hook needs of a runner."""
    hub = MessageHub('test')
    return SimpleNamespace(message_hub=hub, deferred_scalars=DeferredScalars(hub))


@pytest.fixture
def two_processes(monkeypatch):
    """A second process whose values are always twice those of this one."""

    def all_reduce(values, op):
        assert op == 'mean'
        values.mul_(1.5)

    monkeypatch.setattr(deferred_scalars, 'get_world_size', lambda: 2)
    monkeypatch.setattr(deferred_scalars, 'all_reduce', all_reduce)


def logged(runner) -> dict[str, list[float]]:
    """All values in the message hub."""
    return {name: buffer.data[0].tolist() for name, buffer in runner.message_hub.log_scalars.items()}


def test_numbers_become_the_mean_over_the_processes(two_processes, runner):
    outputs = dict(loss=torch.tensor(2.0, requires_grad=True) * 1, accuracy=torch.tensor([4.0]), momentum=0.5)
    before = dict(outputs)
    GlobalLossHook().after_train_iter(runner, 0, outputs=outputs)
    assert outputs == before and logged(runner) == {'train/momentum': [0.5]}
    runner.deferred_scalars.settle()
    assert logged(runner) == {'train/momentum': [0.5], 'train/accuracy': [6.0], 'train/loss': [3.0]}


def test_half_precision_is_averaged_in_more(two_processes, runner):
    GlobalLossHook().after_train_iter(runner, 0, outputs=dict(loss=torch.tensor(60000.0, dtype=torch.float16)))
    runner.deferred_scalars.settle()
    assert logged(runner)['train/loss'] == [pytest.approx(90000)]


def test_a_single_process_logs_its_own_values(runner):
    GlobalLossHook().after_train_iter(runner, 0, outputs=dict(loss=torch.tensor(0.1)))
    GlobalLossHook().after_train_iter(runner, 1, outputs=None)
    runner.deferred_scalars.settle()
    assert logged(runner) == {'train/loss': [torch.tensor(0.1).item()]}


def test_what_is_no_number_is_refused_as_by_mmengine(runner):
    with pytest.raises(AssertionError):
        GlobalLossHook().after_train_iter(runner, 0, outputs=dict(loss=torch.ones(3)))


@pytest.mark.parametrize(
    'interval, processor', [(1, 'LogProcessor'), (2, 'LogProcessor'), (2, 'mmengine.LogProcessor')]
)
def test_a_run_has_the_history_that_mmengines_hook_gives_it(interval, processor, tmp_path):
    photos, histories, shown = photo_folder(tmp_path / 'photos', 16), [], []
    for kind in ('RuntimeInfoHook', 'GlobalLossHook'):
        cfg = pretraining(photos, tmp_path / kind)
        cfg.default_hooks.update(runtime_info=dict(type=kind), logger=dict(type='LoggerHook', interval=interval))
        cfg.log_processor = dict(type=processor)
        runner = StrictRunner.from_cfg(cfg)
        assert sum(isinstance(hook, GlobalLossHook) for hook in runner.hooks) == (kind == 'GlobalLossHook')
        values = {}
        runner.visualizer.add_scalars = lambda tag, step, into=values, **_: into.update({step: tag.get('loss')})
        runner.train()
        histories.append(runner.message_hub.get_scalar('train/loss').data[0])
        shown.append(values)
    assert len(histories[0]) == 12 and np.array_equal(*histories)
    assert shown[0] == shown[1] and len(shown[0]) >= 1
