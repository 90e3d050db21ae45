"""How a training can be divided on some GPUs: the splits of its batch, which of them fit, and how long it takes."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from mmengine.config import Config

from ..checks import allowed_batches
from ..errors import UserError
from ..progress import Waiting
from .expected_memory import ExpectedMemory
from .fitting import checkpoint_setting, checkpointed

_DAY = 24 * 3600


@dataclass(frozen=True)
class Split:
    """A way to make the total batch.

    Args:
        batch: images of a GPU and forward pass. accumulation: forward passes of a step.
        checkpointing: whether the blocks of the ViT are computed again in the backward pass.
        peak: expected bytes.
    """

    batch: int
    accumulation: int
    checkpointing: bool
    peak: int


def splits(cfg: Config, gpus: int, device: str = 'cuda') -> list[Split]:
    """All splits of a config's total batch, without checkpointing first, then by batch.

    Raises:
        UserError: no total batch, or one that does not divide; as :class:`ExpectedMemory`.
    """
    total = cfg.get('total_batch_size')
    if total is None:
        raise UserError(f'{cfg.filename} states no total_batch_size, which could be divided: set it')
    batches, found = allowed_batches(cfg, gpus), []
    for checkpointing in (False, True):
        changed = checkpointed(cfg, checkpointing)
        if changed is None:
            raise UserError(f'{cfg.filename}: its model has no ViT of ours: its memory is not worked out')
        expected = ExpectedMemory(changed, device)
        with Waiting('splits worked out', total=len(batches)) as told:
            for done, batch in enumerate(batches, 1):
                accumulation = total // (batch * gpus)
                peak = expected.peak(batch, accumulation > 1, gpus)
                found.append(Split(batch, accumulation, checkpointing, peak))
                told(done)
    return found


def recommended(found: Sequence[Split], usable: float) -> Split | None:
    """The largest batch without checkpointing whose peak is within ``usable`` bytes; else with it; None if none is."""
    fitting = [split for split in found if split.peak <= usable]
    return max(fitting, key=lambda split: (not split.checkpointing, split.batch), default=None)


def missing(found: Sequence[Split], usable: float) -> str:
    """What is missing where no split fits, in a line."""
    least = min(found, key=lambda split: split.peak)
    return (
        f'nothing fits: even {least.batch} image{"s" * (least.batch > 1)} a GPU with checkpointing need '
        f'{least.peak / 1e9:.1f} GB, {(least.peak - usable) / 1e9:.1f} GB more than may be used: choose GPUs with more '
        'memory, a smaller arch or smaller images'
    )


def steps_of(cfg: Config, images: int | None) -> int | None:
    """Steps of the optimiser of a run; None where that depends on the number of images, which is not given.

    Args:
        images: in the training data.

    Raises:
        UserError: fewer images than one batch.
    """
    if 'max_iters' in cfg.train_cfg:
        return cfg.train_cfg.max_iters
    if images is None:
        return None
    in_epoch = images * cfg.train_dataloader.get('repeat', 1)
    if in_epoch < cfg.total_batch_size:
        raise UserError(
            f'{in_epoch} images in an epoch make no batch of {cfg.total_batch_size}: lower total_batch_size'
        )
    return in_epoch * cfg.train_cfg.max_epochs // cfg.total_batch_size


def days(steps: int, total: int, images_per_second: float) -> float:
    """Days of training, without evaluation and reading."""
    return steps * total / images_per_second / _DAY


def command(config: str, options: Sequence[str], gpus: int, cfg: Config, split: Split) -> str:
    """The command line that trains a config, as it was given, by a split."""
    changes = [*options, f'train_dataloader.batch_size={split.batch}']
    if split.checkpointing:
        changes.append(f'{checkpoint_setting(cfg)}=True')
    tool = ['tools/train.py', config] if gpus == 1 else ['tools/dist_train.sh', config, str(gpus)]
    return shlex.join([*tool, '--cfg-options', *changes])
