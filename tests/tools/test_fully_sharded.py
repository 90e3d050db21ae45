"""Runs whose model is divided among two CPU processes, through the tools. To print the figures: pytest FILE -s"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from mae_transfer.runs.fingerprint import fingerprint
from mae_transfer.vit.weights.checkpoint import read_checkpoint
from tests.tools.classification import FINETUNE, class_options
from tests.tools.commands import (
    CONFIG,
    SHARDED,
    Ended,
    call,
    checkpoint,
    error_line,
    largest_difference,
    losses,
    run,
    small,
    train,
)

EPOCHS = 7  # of three steps
EVERY_STEP = (
    *('default_hooks.checkpoint.by_epoch=False', 'default_hooks.checkpoint.interval=1'),
    'default_hooks.checkpoint.max_keep_ckpts=-1',
)


def options(photos: Path, batch: int, epochs: int = EPOCHS) -> list[str]:
    """Eight images for a step of the optimiser, ``batch`` of them at once in each process; float32."""
    # Adam would turn rounding errors, which the gradients of keys' biases are, into whole steps.
    return small(photos, batch, epochs, optim_wrapper__dtype='float32', optim_wrapper__optimizer__eps=1e-4)


def start(config: Path, processes: int, work_dir: Path, *more: Any) -> Ended:
    if processes == 1:
        return train(config, '--work-dir', work_dir, *more)
    ended = run('dist_train.sh', config, processes, '--work-dir', work_dir, *more)
    assert ended.code == 0, ended.err
    return ended


@pytest.fixture(scope='module')
def one(tmp_path_factory, photos):
    """work_dir of one process with whole batches, and a checkpoint of each step."""
    folder = tmp_path_factory.mktemp('one')
    start(CONFIG, 1, folder, *options(photos, 8), *EVERY_STEP)
    return folder


@pytest.fixture(scope='module')
def two(tmp_path_factory, photos):
    """The same of two processes between which the model is divided."""
    folder = tmp_path_factory.mktemp('two')
    start(SHARDED, 2, folder, *options(photos, 4), *EVERY_STEP)
    return folder


def compare(one: Path, other: Path, what: str) -> None:
    """Print and check the losses of each step, and the weights at the end."""
    expected, found = losses(one), losses(other)
    found = torch.tensor(found).reshape(len(expected), -1).mean(1).tolist()  # of accumulated passes
    difference = max(abs(a - b) for a, b in zip(expected, found))
    weights = largest_difference(*(checkpoint(folder)['state_dict'] for folder in (one, other)))
    print(
        f'\n{what}: losses {expected[0]:.6f} to {expected[-1]:.6f} in {len(expected)} steps, largest difference '
        f'{difference:.1e}; of weights {weights:.1e}'
    )
    assert len(expected) >= 20 and expected[-1] < expected[0] - 1e-2  # otherwise equal losses would prove nothing
    assert difference < 1e-5 and weights < 1e-5


@pytest.mark.slow
def test_two_processes_that_divide_the_model_train_as_one(one, two):
    compare(one, two, 'FSDP2, two processes of 4 images')


@pytest.mark.parametrize(
    'config, batch, accumulated',
    [
        (CONFIG, 4, 1),
        pytest.param(CONFIG, 1, 4, marks=pytest.mark.slow),
        pytest.param(SHARDED, 1, 4, marks=pytest.mark.slow),
    ],
    ids=['DDP', 'DDP, accumulated', 'FSDP2, accumulated'],
)
def test_two_processes_train_as_one(one, config, batch, accumulated, photos, tmp_path):
    out = start(config, 2, tmp_path, *options(photos, batch)).out
    assert f'batch 8 = {batch} images x 2 processes x {accumulated} accumulated' in out
    compare(one, tmp_path, f'{config.stem}, two processes of {batch} images x {accumulated}')


def form(state: Any) -> Any:
    """Everything of a state but the numbers in its tensors."""
    if isinstance(state, torch.Tensor):
        return state.dtype, tuple(state.shape)
    if isinstance(state, dict):
        return {name: form(value) for name, value in state.items()}
    return [form(value) for value in state] if isinstance(state, (list, tuple)) else state


@pytest.mark.slow
def test_the_checkpoint_is_the_file_that_one_process_writes(one, two):
    alone, divided = checkpoint(one), checkpoint(two)
    assert list(divided) == list(alone)
    for part in ('state_dict', 'optimizer', 'param_schedulers'):
        assert form(divided[part]) == form(alone[part])
    size = [(folder / 'iter_21.pth').stat().st_size for folder in (one, two)]
    assert abs(size[0] - size[1]) < 0.05 * size[0]
    assert (two / 'reconstructions' / 'last.png').is_file()


@pytest.mark.parametrize(
    'before, after, processes',
    [
        ('two', SHARDED, 2),
        ('two', CONFIG, 1),
        pytest.param('one', SHARDED, 2, marks=pytest.mark.slow),
        pytest.param('two', CONFIG, 2, marks=pytest.mark.slow),
        pytest.param('two', SHARDED, 1, marks=pytest.mark.slow),
        pytest.param('two', SHARDED, 4, marks=pytest.mark.slow),
    ],
    ids=['same', 'one process', 'from one process', 'DDP', 'one process, same config', 'four processes'],
)
def test_a_run_goes_on_divided_or_not(before, after, processes, one, two, photos, tmp_path):
    whole = dict(one=one, two=two)[before]
    shutil.copy(whole / 'iter_6.pth', tmp_path)
    out = start(after, processes, tmp_path, *options(photos, 8 // processes), '--resume').out
    assert 'iter: 6, from' in out
    assert losses(tmp_path)[:6] == losses(whole)[:6]
    if (before, after, processes) == ('two', SHARDED, 2):
        assert fingerprint(checkpoint(tmp_path)) == fingerprint(checkpoint(two))
    compare(whole, tmp_path, f'from {before} to {processes} processes of {after.stem}')


@pytest.mark.slow
def test_transfer_starts_from_its_checkpoint(two, class_photos, tmp_path):
    own = class_options(class_photos, pretrained=two, model__vit__arch='32x2x2')
    out = train(FINETUNE, '--work-dir', tmp_path, *own).out
    assert f'weights to start from: {two}' in out and 'all are random' not in out
    stored = read_checkpoint(two / 'iter_21.pth')['state_dict']
    assert 'vit.blocks.1.attn.qkv.weight' in stored


def classifier(class_photos: Path, pretrained: Path, *more: str) -> list[str]:
    own = class_options(class_photos, 4, epochs=2, pretrained=pretrained)
    return [*own, "model_wrapper_cfg={'type': 'mae_transfer.FullyShardedModel'}", *more]


@pytest.mark.slow
def test_a_classifier_is_divided(two, class_photos, tmp_path):
    start(FINETUNE, 2, tmp_path / 'divided', *classifier(class_photos, two))
    train(FINETUNE, '--work-dir', tmp_path / 'alone', *class_options(class_photos, 8, epochs=2, pretrained=two))
    divided, alone = (checkpoint(tmp_path / name) for name in ('divided', 'alone'))
    # Mixing, erasing and drop path are drawn for each process: only the form is the same.
    assert form(divided['optimizer']) == form(alone['optimizer'])
    assert form(divided['state_dict']) == form(alone['state_dict'])


@pytest.mark.slow
def test_averaged_weights_are_refused_by_one_line(two, class_photos, tmp_path):
    own = classifier(class_photos, two, "default_hooks.ema={'type': 'EMAHook'}")
    ended = run('dist_train.sh', FINETUNE, 2, '--work-dir', tmp_path, *own)
    lines = [line for line in ended.err.splitlines() if line.startswith('error: ')]
    assert ended.code == 2 and len(lines) == 1 and 'averaged weights are a copy of the whole model' in lines[0], ended


@pytest.mark.slow
def test_settings_of_ddp_are_no_settings_of_a_divided_model(class_photos, tmp_path):
    own = [*class_options(class_photos), 'model_wrapper_cfg.type=mae_transfer.FullyShardedModel']
    line = error_line(call('train', FINETUNE, '--work-dir', tmp_path, *own))
    assert "FullyShardedModel has no setting 'broadcast_buffers'" in line


@pytest.mark.slow
def test_layers_are_gathered_in_the_precision_of_the_run(photos, tmp_path):
    """As the config is, in bfloat16: with validations and pictures; near the same run in one process."""
    start(SHARDED, 2, tmp_path / 'two', *small(photos, 4, 3, base_lr=0.003))
    start(SHARDED, 1, tmp_path / 'one', *small(photos, 8, 3, base_lr=0.003))
    found, expected = losses(tmp_path / 'two'), losses(tmp_path / 'one')
    print(f'\nbfloat16: losses {expected}, differ by {max(abs(a - b) for a, b in zip(found, expected)):.1e}')
    assert found == pytest.approx(expected, rel=1e-3) and found != expected
    assert (tmp_path / 'two' / 'reconstructions' / 'last.png').is_file()
    assert {value.dtype for value in checkpoint(tmp_path / 'two')['state_dict'].values()} == {torch.float32}
