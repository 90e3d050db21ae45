"""A run that goes on from any step ends as one that never stopped, bit by bit: weights, optimiser, losses."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import torch

from mae_transfer.data.scenes.quickstart import write_scenes
from mae_transfer.runs.fingerprint import fingerprint
from mae_transfer.vit.weights.checkpoint import read_checkpoint
from tests.tools.classification import SCRATCH, class_options
from tests.tools.commands import CONFIG, REPOSITORY, checkpoint, run, small, train

DENSE = [
    *('pretrained=none', 'arch=32x4x2', 'model.backbone.out_indices=0,1,2,3', 'total_batch_size=4'),
    *('train_dataloader.batch_size=2', 'default_hooks.logger.interval=1'),
]


@pytest.fixture(scope='module')
def scenes(tmp_path_factory):
    """Six scenes to train on and two to evaluate."""
    folder = tmp_path_factory.mktemp('scenes')
    write_scenes(folder, photos=0, train=6, val=2, size=64, workers=1)
    return folder


def recipe(name: str, photos: Path, class_photos: Path, scenes: Path) -> tuple[Path, list[str]]:
    """A config and the options that make its run a few steps, each of two accumulated forward passes."""
    if name == 'mae':
        return CONFIG, small(photos, batch=4, epochs=2)
    if name == 'classify':  # with mixing, erasing, RandAugment, drop path and a moving average
        return SCRATCH, class_options(class_photos, 4, epochs=2, default_hooks__ema__momentum=0.5)
    if name == 'detect':
        root, config, own = scenes / 'coco', 'maskrcnn', ['max_epochs=2', 'warmup=1']
    else:
        root, config, own = scenes / 'ade', 'upernet', ['max_iters=4', 'warmup=2']
    return REPOSITORY / f'configs/quickstart/{config}.py', ['--cfg-options', f'data_root={root}', *DENSE, *own]


@pytest.mark.parametrize(
    'name, workers',
    [
        *(('mae', 0), ('classify', 0), ('detect', 0), ('segment', 0), ('mae', 2)),
        *(pytest.param(name, 2, marks=pytest.mark.slow) for name in ('classify', 'detect', 'segment')),
    ],
)
def test_a_run_resumed_at_any_step_ends_as_the_undisturbed_one(name, workers, photos, class_photos, scenes, tmp_path):
    config, options = recipe(name, photos, class_photos, scenes)
    options += [
        *('default_hooks.checkpoint.by_epoch=False', 'default_hooks.checkpoint.interval=1'),
        *('default_hooks.checkpoint.max_keep_ckpts=-1', f'train_dataloader.num_workers={workers}'),
        f'train_dataloader.persistent_workers={workers > 0}',
    ]
    train(config, '--work-dir', tmp_path / 'whole', *options)
    wanted = fingerprint(checkpoint(tmp_path / 'whole'))
    assert {'state_dict', 'optimizer', 'param_schedulers', 'losses'} <= set(wanted)
    stored = sorted((tmp_path / 'whole').glob('iter_*.pth'), key=lambda path: int(path.stem[5:]))
    assert len(stored) >= 3 and all(int(path.stem[5:]) % 2 == 0 for path in stored)  # whole steps of the optimiser
    for number in (0, len(stored) - 2) if workers == 0 else (1,):
        folder = tmp_path / f'from_{number}'
        folder.mkdir()
        shutil.copy(stored[number], folder)
        ended = train(config, '--work-dir', folder, '--resume', *options)
        assert re.search(rf'resumed epoch: \d+, iter: {2 * number + 2}', ended.out)
        assert fingerprint(checkpoint(folder)) == wanted, number


@pytest.mark.parametrize('before, after', [(1, 2), pytest.param(2, 1, marks=pytest.mark.slow)])
def test_on_another_number_of_processes_the_run_ends_as_the_undisturbed_one_but_for_rounding(
    before, after, photos, tmp_path
):
    """The total batch of 8 is one, or two accumulated, forward passes of 4 images in each process."""
    options = small(photos, batch=4, epochs=2, optim_wrapper__dtype='float32', base_lr=0.003)
    options += [
        *('default_hooks.checkpoint.by_epoch=False', 'default_hooks.checkpoint.interval=1'),
        'default_hooks.checkpoint.max_keep_ckpts=-1',
    ]

    def start(processes: int, folder: Path, *more: str) -> str:
        if processes == 1:
            return train(CONFIG, '--work-dir', folder, *more, *options).out
        ended = run('dist_train.sh', CONFIG, processes, '--work-dir', folder, *more, *options)
        assert ended.code == 0, ended.err
        return ended.out

    start(before, tmp_path / 'whole')
    stored = sorted((tmp_path / 'whole').glob('iter_*.pth'), key=lambda path: int(path.stem[5:]))
    assert len(stored) == 6
    (tmp_path / 'on').mkdir()
    shutil.copy(stored[1], tmp_path / 'on')
    out = start(after, tmp_path / 'on', '--resume')
    assert f'the file is of a run of {before} processes, this one has {after}: the images, crops and masks' in out
    wanted, found, before_it = (
        torch.cat([value.flatten() for value in content['state_dict'].values()])
        for content in (checkpoint(tmp_path / 'whole'), checkpoint(tmp_path / 'on'), read_checkpoint(stored[1]))
    )
    # The norm of all: a weight whose gradient is nothing but rounding, as keys' biases, is moved by Adam at random.
    assert (wanted - found).norm() < 1e-6 * wanted.norm() < 0.1 * (wanted - before_it).norm()
