"""Every known checkpoint into the ViT; loud about what does not fit.

Weights that do not belong, or that are not there, raise; what is legitimately different (another grid, another patch
size, a head, relative positions that a pre-training does not have) is reported.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

import torch
import torch.nn.functional as F
from mmengine.logging import print_log
from torch import Tensor, nn

from .checkpoint_files import find_checkpoint, read_checkpoint
from .layouts import CheckpointError, detect_layout, strip_wrappers, to_canonical
from .position import resize_pos_embed
from .relative_position import is_table, kind_of, resize_line, resize_table
from .sizes import SIZES

__all__ = ['CheckpointError', 'LoadReport', 'Weights', 'find_checkpoint', 'load_vit', 'read_checkpoint', 'read_weights']

#: Where files keep their weights, in order of preference: MMEngine and timm; official code; timm's average; DeepSpeed.
_WEIGHT_KEYS = ('state_dict', 'model', 'state_dict_ema', 'module')


@dataclass
class Weights:
    """Weights under canonical names (:mod:`~mae_transfer.vit.layouts`)."""

    encoder: dict[str, Tensor]
    decoder: dict[str, Tensor] | None
    head: dict[str, Tensor]
    other: list[str]  # names of all the rest: a detector's heads, a preprocessor's buffers
    layout: str
    source: str


def read_weights(source: str | Path | Mapping) -> Weights:
    """Weights of any known layout, from a file, a folder (:func:`find_checkpoint`) or a dictionary, bare or wrapped.

    Raises:
        CheckpointError: unreadable, or no ViT in it.
    """
    label, stored = 'a dictionary', source
    if not isinstance(source, Mapping):
        label = str(path := find_checkpoint(source))
        stored = read_checkpoint(path)
    while key := next((key for key in _WEIGHT_KEYS if isinstance(stored.get(key), Mapping)), None):
        label, stored = f"{label}['{key}']", stored[key]
    tensors = {name: value for name, value in stored.items() if isinstance(value, Tensor)}
    try:
        tensors = strip_wrappers(tensors)
        layout = detect_layout(tensors)
        encoder, decoder, head, other = to_canonical(tensors, layout)
    except CheckpointError as error:
        raise CheckpointError(f'{label}: {error}') from error
    return Weights(encoder, decoder, head, other, layout, label)


@dataclass
class LoadReport:
    """What became of each weight.

    ``resized`` maps a name to the shapes (from, to); ``at_zero`` are relative positions that a checkpoint without any
    leaves at their start.
    """

    loaded: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    at_zero: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    resized: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = field(default_factory=dict)
    layout: str = ''
    source: str = ''

    def __str__(self) -> str:
        total = len(self.loaded) + len(self.missing) + len(self.at_zero)
        lines = [f'ViT: loaded {len(self.loaded)} of {total} weights from {self.source} (layout {self.layout})']
        if self.resized:
            changes = [f'{name} {_times(old)} -> {_times(new)}' for name, (old, new) in self.resized.items()]
            lines.append(f'  resized: {_shorten(changes)}')
        if self.at_zero:
            lines.append(
                f'  relative positions, which the checkpoint has none of, left as they were (they start at zero): '
                f'{_shorten(self.at_zero)}'
            )
        if self.missing:
            lines.append(f'  not in the checkpoint, left as they were: {_shorten(self.missing)}')
        if self.unexpected:
            lines.append(f'  in the checkpoint, not used: {_shorten(self.unexpected)}')
        return '\n'.join(lines)


def _times(shape: Sequence[int]) -> str:
    return ' x '.join(map(str, shape))


def _shorten(names: Sequence[str], most: int = 6) -> str:
    return ', '.join(names[:most]) + (f' and {len(names) - most} more' if len(names) > most else '')


def load_vit(
    vit: nn.Module,
    source: str | Path | Mapping | Weights,
    *,
    allow_missing: Sequence[str] = (),
    source_grid: tuple[int, int] | None = None,
) -> LoadReport:
    """Load the encoder of any known checkpoint, or raise and change nothing.

    ``pos_embed`` is resized to the ViT's grid (:func:`~mae_transfer.vit.position.resize_pos_embed`),
    ``patch_embed.proj`` to its patch size (bicubic, as ViTDet goes from 14 to 16), relative positions to the grid of
    the ViT's tables; where the checkpoint has none of these, the ViT's stay as they are, at zero. Left over without
    harm are heads, decoders, the final norm of a ViT that ends without one, and the class token of a ViT that has none.

    Args:
        vit: a :class:`~mae_transfer.vit.ViT`, or a timm model with the same names.
        source: file, folder or dictionary; or what :func:`read_weights` made of one.
        allow_missing: patterns, as of a shell, of weights that may be absent from the checkpoint: ``('norm.*',)``.
        source_grid: (rows, columns) that the checkpoint's ``pos_embed``, and its tables of relative positions by 2-D
            offset for blocks without windows, are for; a square where it is not given.

    Returns:
        The report, which is logged too.

    Raises:
        CheckpointError: another depth, width or number of channels; a weight that is missing, unknown, of another shape
            or not finite; positions whose grid is unknown.
    """
    weights = source if isinstance(source, Weights) else read_weights(source)
    target = vit.state_dict()
    report = LoadReport(layout=weights.layout, source=weights.source)
    try:
        _compare_sizes(weights.encoder, target)
        fitted = {}
        for name, value in weights.encoder.items():
            if name in target:
                fitted[name] = _fit(name, value, vit, weights.encoder, target, source_grid)
                # Positions that only lost the class token's row are the same numbers still.
                if fitted[name] is not value and not _is_tail(fitted[name], value):
                    report.resized[name] = (tuple(value.shape), tuple(target[name].shape))
            elif is_table(name):
                raise CheckpointError(
                    f"the checkpoint has relative positions ('{name}') that the model has not: choose "
                    f"rel_pos='{kind_of(name)}'"
                )
            elif name != 'cls_token' and not name.startswith('norm.'):
                raise CheckpointError(
                    f"'{name}' of the checkpoint has no counterpart in the model: it is another architecture"
                )
    except CheckpointError as error:
        raise CheckpointError(f'{weights.source}: {error}') from error
    report.loaded = list(fitted)
    report.missing = [name for name in target if name not in fitted]
    if not any(map(is_table, fitted)):
        report.at_zero = [name for name in report.missing if is_table(name)]
        report.missing = [name for name in report.missing if not is_table(name)]
    report.unexpected = [name for name in weights.encoder if name not in target] + list(weights.head) + weights.other
    report.unexpected += [f'decoder.{name}' for name in weights.decoder or ()]
    if forbidden := [name for name in report.missing if not any(fnmatch(name, pattern) for pattern in allow_missing)]:
        raise CheckpointError(
            f'{weights.source} lacks {_shorten(forbidden)}; name them in allow_missing if they may stay as they are'
        )
    with torch.no_grad():
        for name, value in fitted.items():
            target[name].copy_(value)  # state_dict shares the parameters' memory
    print_log(str(report), logger='current', level=logging.WARNING if report.missing else logging.INFO)
    return report


def _is_tail(fitted: Tensor, value: Tensor) -> bool:
    """Whether ``fitted`` is the end of ``value``'s rows, number by number."""
    return fitted.ndim == 3 and fitted.shape[1] <= value.shape[1] and torch.equal(fitted, value[:, -fitted.shape[1] :])


def _compare_sizes(encoder: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> None:
    """Raise unless depth and width agree; zero matching blocks is the case that others pass over in silence."""
    found, wanted = _size(encoder), _size(target)
    if not found[1]:
        raise CheckpointError(f'the checkpoint has no blocks: found {_shorten(list(encoder))}')
    if found != wanted:
        arch = next((name for name, size in SIZES.items() if (size.embed_dim, size.depth) == found), None)
        advice = (
            f"choose arch '{arch}'"
            if arch
            else f'choose arch dict(embed_dim={found[0]}, depth={found[1]}, num_heads=...)'
        )
        raise CheckpointError(
            f'checkpoint is of embed_dim {found[0]}, depth {found[1]}; the model of {wanted[0]}, depth '
            f'{wanted[1]}: {advice}'
        )


def _size(state: Mapping[str, Tensor]) -> tuple[int | None, int]:
    """(embed_dim, depth) by the names and shapes of the weights."""
    numbers = {int(match[1]) for name in state if (match := re.match(r'blocks\.(\d+)\.', name))}
    width = next(
        (v.shape[0] for name, v in state.items() if re.match(r'(patch_embed\.proj|blocks\.\d+\.norm1)\.', name)), None
    )
    return width, len(numbers)


def _fit(
    name: str, value: Tensor, vit: nn.Module, encoder: Mapping, target: Mapping, source_grid: tuple | None
) -> Tensor:
    """The weight in the shape that the model has; the very same tensor where nothing had to be done."""
    if not torch.isfinite(value).all():
        raise CheckpointError(f"'{name}' holds values that are not finite: the checkpoint is of a run that diverged")
    wanted = target[name].shape
    if name == 'pos_embed':
        return _fit_positions(value, vit, 'cls_token' in encoder, 'cls_token' in target, source_grid)
    if is_table(name) and hasattr(vit, 'table_grid') and value.ndim == 2 and value.shape[1] == wanted[1]:
        return _fit_table(name, value, vit, 'cls_token' in encoder and kind_of(name) == 'table', source_grid)
    if name == 'patch_embed.proj.weight' and value.ndim == 4 and value.shape != wanted:
        if value.shape[1] != wanted[1]:
            raise CheckpointError(
                f'checkpoint takes {value.shape[1]} image channels; the model {wanted[1]}: choose '
                f'in_channels={value.shape[1]}'
            )
        return F.interpolate(value.float(), size=wanted[2:], mode='bicubic', align_corners=False)
    if value.shape != wanted:
        raise CheckpointError(f"'{name}' is {tuple(value.shape)} in the checkpoint, {tuple(wanted)} in the model")
    return value


def _fit_positions(
    value: Tensor, vit: nn.Module, had_class: bool, has_class: bool, source_grid: tuple | None
) -> Tensor:
    """``pos_embed`` (1, class + N, D) for the grid of ``vit``, with or without the class token's row."""
    new_grid = tuple(getattr(vit, 'grid', None) or vit.patch_embed.grid_size)
    count = value.shape[1] - had_class
    side = round(count**0.5)
    if source_grid is None:
        is_square, is_same = side * side == count, new_grid[0] * new_grid[1] == count
        if is_square and is_same and new_grid != (side, side):
            raise CheckpointError(
                f'pos_embed of {count} patches may be for {side} x {side} or for {_times(new_grid)}, as the '
                f'model is: give source_grid=(rows, columns)'
            )
        if not is_square and not is_same:
            raise CheckpointError(
                f'pos_embed of {count} patches is for no square grid: give source_grid=(rows, columns)'
            )
        source_grid = (side, side) if is_square else new_grid
    if source_grid[0] * source_grid[1] != count:
        raise CheckpointError(
            f'pos_embed is for {count} patches; source_grid {_times(source_grid)} has {source_grid[0] * source_grid[1]}'
        )
    if has_class and not had_class:
        raise CheckpointError('the checkpoint has no class token; the model has one: choose class_token=False')
    if tuple(source_grid) != new_grid:
        value = resize_pos_embed(value.float(), tuple(source_grid), new_grid, int(had_class))
    return value if has_class == had_class else value[:, 1:]


def _fit_table(name: str, value: Tensor, vit: nn.Module, had_class: bool, source_grid: tuple | None) -> Tensor:
    """Relative positions (entries, ...) for the grid of the tables of ``vit``."""
    if name.endswith(('.rel_pos_h', '.rel_pos_w')):
        return resize_line(value, (len(vit.get_parameter(name)) + 1) // 2)
    grid, has_class = vit.table_grid(name), bool(vit.num_prefix)
    count = len(value) - 3 * had_class
    side = round(count**0.5)
    square = ((side + 1) // 2,) * 2
    fits = [old for old in (source_grid, square, grid) if old and (2 * old[0] - 1) * (2 * old[1] - 1) == count]
    if not fits or source_grid not in fits and len(set(fits)) > 1:
        known = f'may be for {" or ".join(map(_times, fits))}' if fits else 'is for no square grid'
        raise CheckpointError(f"'{name}' of {count} offsets {known}: give source_grid=(rows, columns)")
    old_grid = tuple(fits[0])
    value = resize_table(value, old_grid, grid, int(had_class))
    return value if has_class == had_class else value[:-3]
