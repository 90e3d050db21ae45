"""train_dataloader.batch_size='auto': the largest batch that fits, with the recipe's total, rate and losses."""

from __future__ import annotations

from contextlib import contextmanager
from unittest import mock

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mae_transfer.checks import allowed_batches, check_config
from mae_transfer.errors import UserError
from mae_transfer.launch import build_runner
from mae_transfer.planning import device_memory, fitting
from mae_transfer.planning.expected_memory import ExpectedMemory
from mae_transfer.planning.fitting import MARGIN, fitting_batch, largest_fitting
from mae_transfer.planning.training import build_model
from mae_transfer.settings import read_config
from tests.helpers import photo_folder, pretraining
from tests.tools.commands import REPOSITORY


def config(photos, work_dir, batch):
    cfg = pretraining(photos, work_dir, total_batch_size=8, base_lr=1e-2)
    cfg.train_dataloader.batch_size = batch
    cfg.optim_wrapper.optimizer.pop('lr')
    return cfg


@contextmanager
def memory(size: float):
    with mock.patch.object(fitting, 'memory_for_training', lambda _: int(size)):
        yield


@pytest.fixture(scope='module')
def photos(tmp_path_factory):
    return photo_folder(tmp_path_factory.mktemp('photos'), 32)


def trained(cfg):
    """The runner, and the loss of each step of the optimiser."""
    runner = build_runner(cfg, require_all_weights=False)
    losses: list[float] = []
    forward = runner.model.forward

    def noted(*args, **kwargs):
        outputs = forward(*args, **kwargs)
        if kwargs.get('mode') == 'loss':
            losses.append(outputs['loss'].item())
        return outputs

    runner.model.forward = noted
    runner.train()
    passes = runner.accumulation
    return runner, [sum(losses[i : i + passes]) / passes for i in range(0, len(losses), passes)]


@pytest.mark.parametrize('fits', [2, 4, 8])
def test_the_losses_are_those_of_a_stated_batch(photos, tmp_path, fits):
    explicit, wanted = trained(config(photos, tmp_path / 'explicit', fits))
    cfg = config(photos, tmp_path / 'auto', 'auto')
    expected, dumped = ExpectedMemory(cfg, 'cpu'), cfg.dump()
    needed = expected.peak(fits, accumulates=fits < 8)
    with memory(needed / (1 - MARGIN) * 1.0001):
        runner, losses = trained(cfg)
    assert runner.batch_plan.per_gpu == runner.train_dataloader.batch_size == fits
    assert (runner.batch_plan.total, runner.batch_plan.lr) == (8, pytest.approx(1e-2 * 8 / 256))
    assert len(losses) == len(wanted) == 6 and losses == wanted
    for name, value in explicit.model.state_dict().items():
        assert torch.equal(runner.model.state_dict()[name], value)
    assert runner.cfg.train_dataloader.batch_size == 'auto' and cfg.dump() == dumped
    assert '; auto: 0.0 GB expected of 0.0 GB' in str(runner.batch_plan)
    assert ' accumulated; learning rate 0.0003125 = 0.01 x 8 / 256; auto' in str(runner.batch_plan)


def test_the_losses_do_not_depend_on_the_memory(photos, tmp_path):
    """Up to the rounding of sums in another order."""
    found = []
    for fits in (2, 8):
        cfg = config(photos, tmp_path / str(fits), 'auto')
        with memory(1e12 if fits == 8 else ExpectedMemory(cfg, 'cpu').peak(2, True) / (1 - MARGIN) * 1.0001):
            found.append(trained(cfg)[1])
    assert found[0] == pytest.approx(found[1], rel=1e-5)


def test_what_would_fit_is_named(tmp_path):
    cfg = config(tmp_path, tmp_path / 'run', 'auto')
    cfg.model.vit.arch.depth = 3
    cfg.model.vit.img_size = 128
    model = build_model(cfg)
    accumulated, alone = (ExpectedMemory(cfg, 'cpu').peak(1, accumulates) for accumulates in (True, False))
    checkpointed = ExpectedMemory(fitting.checkpointed(cfg), 'cpu').peak(1, True)
    assert checkpointed < alone < accumulated
    for has, words in (
        (alone, 'total_batch_size=1, which needs no accumulation, would fit'),
        (checkpointed, 'model.vit.grad_checkpoint=True would fit'),
        (1000, 'choose a smaller arch, or more memory'),
    ):
        with memory(has / (1 - MARGIN) * 1.0001), pytest.raises(UserError, match=words) as caught:
            fitting_batch(cfg, model, 1)
        assert 'the smallest batch of a process, 1, is expected to need' in str(caught.value)
        assert '\n' not in str(caught.value)


class Linear:
    """A memory of 10 bytes, and one more for each image."""

    def peak(self, batch: int, accumulates: bool, processes: int) -> int:
        return 10 + batch + accumulates


@settings(deadline=None, max_examples=50)
@given(memory=st.integers(0, 100), total=st.sampled_from([8, 24, 60, 64]), processes=st.sampled_from([1, 2, 4]))
def test_the_largest_that_fits(memory, total, processes):
    batches = [b for b in range(1, total + 1) if total % (b * processes) == 0]
    found = largest_fitting(Linear(), batches, total, processes, memory)
    fitting = [b for b in batches if 10 + b + (b * processes < total) <= memory]
    assert found == max(fitting, default=None)


def test_the_smallest_memory_of_all_processes_decides():
    model = torch.nn.Linear(10, 10)  # 440 bytes
    with (
        mock.patch.object(device_memory, 'available_memory', lambda: 600),
        mock.patch.object(
            device_memory, 'all_gather_object', lambda own: [own, own, ('other', 250), ('another', 1000)]
        ),
    ):
        assert device_memory.memory_for_training(model) == 440 + 250
    assert device_memory.memory_for_training(model) == pytest.approx(440 + device_memory.available_memory(), rel=0.2)


def test_the_limit_of_a_container_counts(tmp_path):
    for name, text in (('limit', '1000000\n'), ('used', '900000\n'), ('stat', 'anon 5\ninactive_file 300000\n')):
        (tmp_path / name).write_text(text)
    groups = [[tmp_path / 'none'] * 3, [tmp_path / name for name in ('limit', 'used', 'stat')]]
    with mock.patch.object(device_memory, '_GROUPS', groups):
        assert device_memory.available_memory() == 400000
    (tmp_path / 'limit').write_text('max\n')
    with mock.patch.object(device_memory, '_GROUPS', groups):
        assert device_memory.available_memory() > 1e6
    with (
        mock.patch.object(device_memory, '_MEMINFO', tmp_path / 'none'),
        pytest.raises(UserError, match='does not say how much memory is available'),
    ):
        device_memory.available_memory()


def test_auto_needs_a_total(photos, tmp_path):
    cfg = config(photos, tmp_path, 'auto')
    check_config(cfg, 'train')
    cfg.total_batch_size = None
    with pytest.raises(UserError, match='divides total_batch_size: set that, or a number of images'):
        check_config(cfg, 'train')
    cfg.total_batch_size = 9
    with pytest.raises(UserError, match='choose a total_batch_size that is a multiple of 2'):
        check_config(cfg, 'train', processes=2)


@pytest.mark.parametrize(
    'name, options, allowed',
    [
        ('mae_pretrain_vitb', ['total_batch_size=12'], [1, 2, 3, 4, 6, 12]),
        ('mae_pretrain_vitb', ['total_batch_size=24', 'crops_per_decode=4'], [4, 8, 12, 24]),
        ('in1k_finetune_vitb', ['total_batch_size=12'], [2, 4, 6, 12]),  # mixup pairs the images
        ('mocov3_pretrain_vitb', ['total_batch_size=12'], [2, 3, 4, 6, 12]),  # batch norm needs two
    ],
)
def test_batches_that_are_refused_for_another_reason_are_left_out(name, options, allowed):
    cfg = read_config(REPOSITORY / 'configs' / f'{name}.py', [*options, 'train_dataloader.batch_size=auto'])
    assert allowed_batches(cfg, 1) == allowed


def test_no_batch_at_all():
    options = ['total_batch_size=5', 'train_dataloader.batch_size=auto']
    cfg = read_config(REPOSITORY / 'configs' / 'in1k_finetune_vitb.py', options)
    with pytest.raises(UserError, match='mixup and cutmix pair the images of a batch'):
        allowed_batches(cfg, 1)
