"""The loss of the whole batch in the log. A test with two processes: tests/tools/test_dist_train.py."""

import pytest
import torch

from mae_transfer.hooks import GlobalLossHook, global_loss


@pytest.fixture
def two_processes(monkeypatch):
    """A second process whose values are always twice those of this one."""

    def all_reduce(values, op):
        assert op == 'mean'
        values.mul_(1.5)

    monkeypatch.setattr(global_loss, 'get_world_size', lambda: 2)
    monkeypatch.setattr(global_loss, 'all_reduce', all_reduce)


def test_numbers_become_the_mean_over_the_processes(two_processes):
    outputs = dict(
        loss=torch.tensor(2.0, requires_grad=True) * 1, accuracy=torch.tensor([4.0]), note='text', each=torch.ones(3)
    )
    GlobalLossHook().after_train_iter(None, 0, outputs=outputs)
    assert outputs['loss'].item() == 3 and outputs['accuracy'].item() == 6
    assert outputs['note'] == 'text' and torch.equal(outputs['each'], torch.ones(3))
    assert not outputs['loss'].requires_grad


def test_half_precision_is_averaged_in_float32(two_processes):
    outputs = dict(loss=torch.tensor(60000.0, dtype=torch.float16))
    GlobalLossHook().after_train_iter(None, 0, outputs=outputs)
    assert outputs['loss'].item() == pytest.approx(90000)


def test_a_single_process_changes_nothing():
    loss = torch.tensor(2.0)
    outputs = dict(loss=loss)
    GlobalLossHook().after_train_iter(None, 0, outputs=outputs)
    assert outputs['loss'] is loss


def test_it_runs_before_the_hook_that_logs():
    from mmengine.hooks import RuntimeInfoHook
    from mmengine.runner.priority import get_priority

    assert get_priority(GlobalLossHook.priority) < get_priority(RuntimeInfoHook.priority)
