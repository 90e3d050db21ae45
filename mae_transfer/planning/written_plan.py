"""A plan of a training, as text and as data: what tools/plan.py prints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from mmengine.config import Config

from ..compat.package_configs import find_config
from ..errors import UserError
from ..settings import read_config
from .device_memory import GB
from .fake_step import image_flops
from .fitting import checkpointed
from .losses import leaves_out_heads
from .training_plan import Split, command, days, missing, recommended, splits, steps_of


@dataclass(frozen=True)
class Request:
    """A training, and the GPUs for it.

    Attributes:
        config: file, or ``mae_transfer::NAME.py``.
        options: ``KEY=VALUE``, changes of its settings.
        gpus: that train together.
        gpu_memory: of each, in 1e9 bytes.
        margin: share of the memory that stays free.
        images: in the training data; None if not known.
        images_per_second: of all GPUs together, measured; None if not.
        tflops: matrix rate of a GPU in the config's precision; None if not known.
        share: of ``tflops`` that is assumed to be reached.

    Raises:
        UserError: numbers that cannot be.
    """

    config: str
    options: Sequence[str]
    gpus: int
    gpu_memory: float
    margin: float
    images: int | None = None
    images_per_second: float | None = None
    tflops: float | None = None
    share: float = 0.3

    def __post_init__(self) -> None:
        for name, least in (('gpus', 1), ('images', 1)):
            if (value := getattr(self, name)) is not None and value < least:
                raise UserError(f'--{name} is {least} or more; found {value}')
        for name in ('gpu_memory', 'images_per_second', 'tflops', 'share'):
            if (value := getattr(self, name)) is not None and not value > 0:
                raise UserError(f'--{name.replace("_", "-")} is above 0; found {value:g}')
        if not (0 <= self.margin < 1 and self.share <= 1):
            raise UserError('--margin is a share from 0 to below 1, --share one from above 0 to 1')


def table(found: Sequence[Split], usable: float, best: Split | None) -> str:
    """Markdown: a row for each split."""
    lines = ['| images a GPU | accumulated | checkpointing | expected peak, GB | fits |', '|---' * 5 + '|']
    for split in found:
        fits = 'recommended' if split == best else 'yes' if split.peak <= usable else ''
        checkpointing = 'yes' if split.checkpointing else ''
        lines.append(f'| {split.batch} | {split.accumulation} | {checkpointing} | {split.peak / GB:.2f} | {fits} |')
    return '\n'.join(lines)


def write_plan(request: Request) -> tuple[list[str], dict[str, Any]]:
    """The lines of a plan, and the same as data.

    Raises:
        UserError: a config that does not train; as :func:`~mae_transfer.planning.training_plan.splits` and
            :func:`~mae_transfer.planning.training_plan.steps_of`.
    """
    cfg = read_config(find_config(request.config), request.options)
    if not cfg.get('train_dataloader') or not cfg.get('optim_wrapper'):
        raise UserError(f'{request.config} does not train: name a config that does')
    gpus, memory = request.gpus, request.gpu_memory
    found, usable, total = splits(cfg, gpus), (1 - request.margin) * memory * GB, cfg.total_batch_size
    best = recommended(found, usable)
    lines = [f'\ntotal batch {total} on {gpus} x {memory:g} GB, of which {request.margin:.0%} stay free\n']
    lines.append(table(found, usable, best))
    if leaves_out_heads(cfg):
        lines.append("\nan estimate: backbone and pyramid count, the activations of the detector's heads do not")
    plan = dict(config=request.config, gpus=gpus, gpu_memory_GB=memory, margin=request.margin, total=total)
    plan.update(splits=[asdict(split) for split in found], recommended=best and asdict(best), steps=None)
    if best is None:
        lines.append(f'\n{missing(found, usable)}')
    else:
        told, times = _expected_time(request, cfg, best)
        plan.update(times, command=command(request.config, request.options, gpus, cfg, best))
        lines += [*told, f'\n{plan["command"]}']
    return lines, plan


def _expected_time(request: Request, cfg: Config, best: Split) -> tuple[list[str], dict[str, Any]]:
    """Steps, images per second and days, as far as they follow from what is known: lines, and the same as data."""
    flops = image_flops(checkpointed(cfg, best.checkpointing))
    steps = steps_of(cfg, request.images)
    of_steps = (
        'give --images for steps and days' if steps is None else f'{steps} steps of {cfg.total_batch_size} images'
    )
    lines = [f'\n{flops / 1e9:.4g} GFLOPs an image, forward and backward; {of_steps}']
    found: dict[str, Any] = dict(flops_of_image=flops, steps=steps)
    if request.images_per_second:
        rate, reason = request.images_per_second, 'as stated'
    elif request.tflops:
        rate = request.gpus * request.share * request.tflops * 1e12 / flops
        reason = f'assuming {request.share:.0%} of {request.tflops:g} TFLOP/s on each GPU; not measured'
    else:
        lines.append('for the time, give --tflops, the matrix rate of a GPU, or --images-per-second')
        return lines, found
    found.update(images_per_second=rate, assumption=reason)
    line = f'{rate:.0f} images/s ({reason})'
    if steps is not None:
        found['days'] = days(steps, cfg.total_batch_size, rate)
        line += f': {found["days"]:.2f} days, without evaluation'
    return [*lines, line], found
