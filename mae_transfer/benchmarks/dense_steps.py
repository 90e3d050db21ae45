"""Where the time of a training step of a detector or a segmentor goes, and what a setting changes about it.

    python -m mae_transfer.benchmarks.dense_steps configs/ade20k_upernet_vitb.py --size 512 --batch 2 \\
        --against model.decode_head.type=UPerHead model.auxiliary_head.type=FCNHead
    python -m mae_transfer.benchmarks.dense_steps configs/coco_vitdet_vitb.py --size 512 --batch 1

A step is all that a training does with a batch: the data preprocessor, the forward and the backward pass, and the
optimiser's step, on random images with random annotations and random weights. The table shows medians of each part's
forward and backward pass, and its share of the step. Memory is that of weights and buffers, and what the first step
adds at its peak, the optimiser's state included: on a CPU, of a process of its own.

With `--against`, a second model of each config, changed by these settings and with the same weights, takes turns with
the first; its loss and gradients are compared. Where layers below enlarge the rounding of what was changed, as a batch
norm of a pooled map does, gradients differ by more than that.

How parts are told apart: `mae_transfer/benchmarks/part_clock.py`.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import InitVar, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import torch
from mmdet.models import TwoStageDetector
from mmengine.config import Config
from mmengine.model import BaseModel, revert_sync_batchnorm
from mmengine.optim import OptimWrapper, build_optim_wrapper
from mmengine.registry import MODELS, DefaultScope
from mmseg.models import EncoderDecoder
from torch.nn import ModuleList

from .. import launch
from ..compat.package_configs import find_config
from ..dense.checks import check_pooled_batch
from ..errors import UserError
from ..kinds import is_kind
from ..outputs import output_file
from ..progress import progress
from ..references import pair
from ..settings import read_config
from .dense_inputs import detection_batch, segmentation_batch
from .dense_parts import watch_parts
from .part_clock import PartClock, Span
from .peak_memory import peak_of
from .processes import GB, run_in_new_process


@dataclass
class Variant:
    """A config's model, with its optimiser and its clock.

    Args:
        cfg: the config.
        batch: images per step.
        size: (height, width) of the images, in pixels.
        device: 'cpu' or 'cuda'.
        dtype: precision of autocast; no autocast for float32.
        clock: as of :class:`PartClock`.
    """

    cfg: Config
    batch: int
    size: tuple[int, int]
    device: str
    dtype: torch.dtype
    clock: InitVar[Callable[[], float]] = time.perf_counter
    times: list[dict[Span, float]] = field(default_factory=list)

    def __post_init__(self, clock: Callable[[], float]) -> None:
        torch.manual_seed(0)
        with DefaultScope.overwrite_default_scope(self.cfg.default_scope):
            model = MODELS.build(self.cfg.model)
            self.model: BaseModel = revert_sync_batchnorm(model).to(self.device).train()
            # A rate of 0 costs the same, and leaves the weights of both models as they are.
            optimizer = dict(self.cfg.optim_wrapper.optimizer, lr=0.0)
            settings = dict(self.cfg.optim_wrapper, optimizer=optimizer)
            self.optimizer: OptimWrapper = build_optim_wrapper(self.model, settings)
        self.parts = PartClock(self.device, clock)
        watch_parts(self.parts, self.model)

    def batch_of(self, seed: int) -> dict:
        """A random batch."""
        model: Any = self.model
        if hasattr(model, 'decode_head'):
            make, classes = segmentation_batch, model.num_classes
        else:
            head = model.roi_head.bbox_head
            make, classes = detection_batch, (head[0] if isinstance(head, ModuleList) else head).num_classes
        return make(self.batch, model.backbone.in_channels, self.size, classes, seed)

    def step(self, seed: int) -> dict[Span, float]:
        """One step with everything random from a seed; the seconds of each part."""
        batch = self.batch_of(seed)
        torch.manual_seed(seed)
        self.optimizer.zero_grad()
        with DefaultScope.overwrite_default_scope(self.cfg.default_scope):
            return self.parts.measure(lambda: self._step(batch))

    def _step(self, batch: dict) -> None:
        with self.parts.part('data preprocessor'):
            data = self.model.data_preprocessor(batch, training=True)
        with torch.autocast(self.device, self.dtype, enabled=self.dtype != torch.float32):
            losses = self.model(**data, mode='loss')
        self.loss, self.logged = self.model.parse_losses(losses)
        with self.parts.part('rest', 'backward'):
            self.loss.backward()
        with self.parts.part('optimiser'):
            self.optimizer.step()


def peak_memory(cfg: Config, batch: int, size: tuple[int, int], device: str, dtype: torch.dtype) -> tuple[int, int]:
    """Bytes of the weights and buffers of a config's model, and those that its first step adds at its peak."""
    variant = Variant(cfg, batch, size, device, dtype)
    weights = sum(value.nbytes for value in [*variant.model.parameters(), *variant.model.buffers()])
    return weights, peak_of(lambda: variant.step(0), device)


def largest_differences(variants: list[Variant], seed: int) -> tuple[float, float]:
    """The differences of two variants in the same step: of the loss, relative; of the gradients, relative to the
    largest gradient of the same weight."""
    ours, other = variants
    other.model.load_state_dict(ours.model.state_dict())
    for variant in variants:
        variant.step(seed)
    of_loss = abs(ours.loss.item() / other.loss.item() - 1)
    theirs = {name: p.grad for name, p in other.model.named_parameters() if p.grad is not None}
    largest = max(value.abs().max() for value in theirs.values())
    of_gradients = 0.0
    for name, parameter in ours.model.named_parameters():
        if name in theirs:
            # Gradients that are zero except for rounding are compared with those of other weights.
            scale = theirs[name].abs().max().clamp(min=1e-3 * largest)
            of_gradients = max(of_gradients, ((parameter.grad - theirs[name]).abs().max() / scale).item())
    return of_loss, of_gradients


def medians(times: list[dict[Span, float]]) -> dict[Span, float]:
    """The median of each part's seconds."""
    spans = dict.fromkeys(span for step in times for span in step)
    return {span: median(step.get(span, 0.0) for step in times) for span in spans}


def table(columns: list[list[dict[Span, float]]], memory: list[tuple[int, int]]) -> str:
    """Markdown: a row for each part, with one or two variants' times, and the ratio of the first to the second."""
    found = [medians(times) for times in columns]
    totals = [median(sum(step.values()) for step in times) for times in columns]
    head = ['part', *['forward, ms', 'backward, ms', 'share'] * len(columns), *['ratio'] * (len(columns) - 1)]
    rows = [head, ['---'] * len(head)]
    for part in dict.fromkeys(span.part for times in found for span in times):
        row, sums = [part], []
        for times, total in zip(found, totals):
            passes = [times.get(Span(part, phase), 0.0) for phase in ('forward', 'backward')]
            sums.append(sum(passes))
            row += [*(f'{1000 * seconds:.1f}' for seconds in passes), f'{sums[-1] / total:.1%}']
        rows.append([*row, *_ratio(sums)])
    row = ['step']
    for times, total in zip(found, totals):
        for phase in ('forward', 'backward'):
            row.append(f'{1000 * sum(seconds for span, seconds in times.items() if span.phase == phase):.1f}')
        row.append(f'{1000 * total:.1f} ms')
    rows.append([*row, *_ratio(totals)])
    row = ['memory']
    for weights, added in memory:
        row += [f'weights {weights / GB:.2f} GB', '', f'step {added / GB:.2f} GB']
    rows.append([*row, *_ratio([added for _, added in memory])])
    return '\n'.join(f'| {" | ".join(row)} |' for row in rows)


def _ratio(values: list[float]) -> list[str]:
    return [] if len(values) < 2 else ['' if not values[1] else f'{values[0] / values[1]:.2f}']


def size_setting(cfg: Config) -> str:
    """The name of a config's setting for the size of images.

    Raises:
        UserError: a config of another task than detection by regions and segmentation.
    """
    for kind, name in ((EncoderDecoder, 'crop_size'), (TwoStageDetector, 'image_size')):
        if is_kind(cfg.model, MODELS, cfg.get('default_scope'), kind) and name in cfg:
            return name
    raise UserError(f'{cfg.filename}: name configs of segmentors (with crop_size) or of Mask R-CNN (with image_size)')


def parse_args() -> argparse.Namespace:
    """Parse and check the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('configs', nargs='+', metavar='CONFIG')
    parser.add_argument('--arch', help="size of the ViT, such as 'base' or 192x5x3; default that of the config")
    parser.add_argument('--size', type=int, help='sides of the images, in pixels; default that of the config')
    parser.add_argument('--batch', type=int, default=1, help='images per step; default %(default)s')
    parser.add_argument('--rounds', type=int, default=5, help='measured steps; default %(default)s')
    parser.add_argument('--device', choices=('cpu', 'cuda'), default='cpu')
    parser.add_argument('--dtype', choices=('float32', 'bfloat16'), default='float32', help='precision of autocast')
    parser.add_argument('--cfg-options', nargs='+', default=[], metavar='KEY=VALUE', help='settings of all configs')
    parser.add_argument('--against', nargs='+', default=[], metavar='KEY=VALUE', help='of a model to compare with')
    parser.add_argument(
        '--cpu-time', action='store_true', help='count what this process computes, not what others do meanwhile'
    )
    parser.add_argument('--json', type=Path, metavar='FILE', help='also write the measurements to FILE')
    args = parser.parse_args()
    if min(args.batch, args.rounds, args.size or 1) < 1:
        raise UserError('--batch, --rounds and --size must be 1 or more')
    if args.device == 'cuda' and not torch.cuda.is_available():
        raise UserError('--device cuda: PyTorch finds no GPU; choose --device cpu')
    if args.cpu_time and (args.device != 'cpu' or torch.get_num_threads() > 1):
        raise UserError('--cpu-time is for one thread of a CPU: set OMP_NUM_THREADS=1')
    if args.json:
        args.json = output_file(args.json, '--json')
    return args


def read_variants(config: str, args: argparse.Namespace) -> tuple[list[Config], tuple[int, int]]:
    """A config as the command line sets it, and changed by ``--against``, if there is that; the size of images."""
    name = size_setting(read_config(find_config(config)))
    options = [f'train_dataloader.batch_size={args.batch}', *args.cfg_options]
    options += [f'arch={args.arch}'] * bool(args.arch) + [f'{name}=({args.size},{args.size})'] * bool(args.size)
    changes = [[], args.against] if args.against else [[]]
    cfgs = [read_config(find_config(config), [*options, *more]) for more in changes]
    for cfg in cfgs:
        check_pooled_batch(cfg, 1)
    height, width = pair(cfgs[0][name])
    return cfgs, (height, width)


def measure(variants: list[Variant], rounds: int) -> None:
    """Measure steps of the variants, which take turns, after one that is not counted."""
    for turn in progress(range(1 + rounds), 'rounds measured'):
        for variant in variants[:: -1 if turn % 2 else 1]:
            variant.times.append(variant.step(turn))
    for variant in variants:
        del variant.times[0]


def main() -> None:
    """Measure each config, and print its table."""
    args = parse_args()
    device = torch.cuda.get_device_name() if args.device == 'cuda' else f'CPU, {torch.get_num_threads()} threads'
    clock = time.process_time if args.cpu_time else time.perf_counter
    cases = []
    # On the CPU before anything is computed here: a process that has computed with several threads cannot be forked.
    run = run_in_new_process if args.device == 'cpu' else lambda function, *arguments: function(*arguments)
    for config in args.configs:
        cfgs, size = read_variants(config, args)
        settings = (args.batch, size, args.device, getattr(torch, args.dtype))
        cases.append((config, cfgs, settings, [run(peak_memory, cfg, *settings) for cfg in cfgs]))
    results: list[dict[str, Any]] = []
    for config, cfgs, settings, memory in cases:
        variants = [Variant(cfg, *settings, clock) for cfg in cfgs]
        print(f'\n{Path(config).stem}, {" x ".join(map(str, settings[1]))} pixels, batch {args.batch}, {args.dtype}')
        counted = 'CPU time' if args.cpu_time else 'wall clock'
        print(f'Medians of {args.rounds} steps, {counted}; {device}, PyTorch {torch.__version__}')
        if len(variants) > 1:
            of_loss, of_gradients = largest_differences(variants, 0)
            print(f'losses differ by {of_loss:.1e}, gradients by {of_gradients:.1e} of the largest of a weight')
        measure(variants, args.rounds)
        print('\n' + table([variant.times for variant in variants], memory), flush=True)
        steps = [[{f'{span.part}, {span.phase}': s for span, s in step.items()} for step in v.times] for v in variants]
        results.append(dict(config=config, memory=memory, steps=steps))
    if args.json:
        args.json.write_text(json.dumps(results, indent=1) + '\n')


if __name__ == '__main__':
    launch.run_main(main)
