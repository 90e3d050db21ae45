"""Load a checkpoint of any known layout into the ViT.

Weights that are missing, unknown or of a wrong shape are errors. Legitimate differences (another grid, another patch
size, a head, no relative positions after pre-training) are reported.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import torch
from mmengine.logging import print_log
from torch import Tensor, nn

from ...errors import CheckpointError, shorten
from ..position_tables import is_rel_pos_table, rel_pos_kind
from ..sizes import SIZES
from .bridges import bridge
from .checkpoint_files import find_checkpoint, read_checkpoint
from .comparison import compare_states
from .fitting import describe_inflation, fit_weight, grid_of
from .layouts import to_canonical
from .load_report import LoadReport
from .names import looks_like
from .search import describe_choice, find_vit
from .shown_design import check_design, check_distillation
from .source_grid import (
    SourceGrid,
    add_class_row,
    checked_grid,
    find_source_grid,
    patch_positions,
    shown_grid,
    stated_beside,
    stated_grid,
)
from .stated_config import stated_setting

__all__ = [
    'CheckpointError',
    'LoadReport',
    'Weights',
    'find_checkpoint',
    'load_vit',
    'read_checkpoint',
    'read_weights',
    'starting_point',
    'width_and_depth',
]


@dataclass
class Weights:
    """Weights under canonical names (:mod:`~mae_transfer.vit.weights.layouts`)."""

    encoder: dict[str, Tensor]
    decoder: dict[str, Tensor] | None
    head: dict[str, Tensor]
    other: list[str]  # names of all other weights: a detector's heads, a preprocessor's buffers
    layout: str
    source: str
    grid: SourceGrid | None = None  # of pos_embed, where the file states it
    bands: Any = None  # the setting of the run that wrote the file, where it states it
    prefix: str = ''  # of the ViT's names in the file
    notes: list[str] = field(default_factory=list)  # what a user should know of the reading
    file: Path | None = None  # None for a dictionary

    @property
    def is_of_classifier(self) -> bool:
        """Whether the names are those of our own classifier or MAE; of a detector or segmentor, ``backbone.``."""
        return self.layout == 'mae_transfer' and self.prefix.endswith('vit.')


def read_weights(source: str | Path | Mapping, weights_key: str | None = None) -> Weights:
    """Read weights of any known layout.

    Args:
        source: a file, a folder (:func:`find_checkpoint`) or a dictionary, with the weights at its top, or below any
            keys and any prefix.
        weights_key: which ViT of several, by keys and prefix or a part of them, such as 'state_dict_ema' or
            'student.backbone'; None: the only one, or the one that its project evaluates.

    Raises:
        CheckpointError: the source is unreadable, contains no ViT, or several of which none is to be preferred.
    """
    if isinstance(source, Mapping):
        path, label, stored, beside = None, 'a dictionary', source, None
    else:
        path = find_checkpoint(source)
        label, stored, beside = str(path), read_checkpoint(path), stated_beside(path)
    meta = stored.get('meta')
    stated, bands = stated_grid(meta) or beside, stated_setting(meta, 'bands')
    try:
        found, others = find_vit(stored, weights_key)
        label += ''.join(f"['{key}']" for key in found.keys)
        encoder, decoder, head, other = to_canonical(found.state, found.root)
        grid = shown_grid(found.state) or stated
    except CheckpointError as error:
        raise CheckpointError(f'{label}: {error}') from error
    notes = describe_choice(found, others)
    layout, prefix = found.root.layout, found.root.prefix
    return Weights(encoder, decoder, head, other, layout, label, grid, bands, prefix, notes, path)


#: What ``init_cfg`` of a ViT may say beside ``type`` and ``checkpoint``: how the file is read.
READING = ('source_grid', 'weights_key')


def starting_point(init_cfg: Mapping | None) -> dict | None:
    """What a ViT's ``init_cfg`` says of the weights to start from: the arguments ``source``, ``source_grid`` and
    ``weights_key`` of :func:`load_vit`; None for random weights.

    Raises:
        CheckpointError: a setting that would have no effect.
    """
    settings = {name: value for name, value in (init_cfg or {}).items() if name != 'type'}
    source = settings.pop('checkpoint', None)
    reading = {name: settings.pop(name, None) for name in READING}
    if settings:
        raise CheckpointError(
            f"init_cfg of a ViT has 'checkpoint', {' and '.join(map(repr, READING))}, not "
            f"'{next(iter(settings))}': leave it out"
        )
    return None if source in (None, 'none') else dict(source=source, **reading)


def load_vit(
    vit: nn.Module,
    source: str | Path | Mapping | Weights,
    *,
    allow_missing: Sequence[str] = (),
    source_grid: tuple[int, int] | None = None,
    weights_key: str | None = None,
    may_inflate: bool = True,
) -> LoadReport:
    """Load the encoder of any known checkpoint, or raise and change nothing.

    Positions, relative positions and the patch embedding are resized to the ViT's grid, patch size and number of
    channels (:mod:`~mae_transfer.vit.weights.fitting`). If the checkpoint has no relative positions, the ViT's stay at
    zero. Heads, decoders, the final norm for a ViT without one, and the class token for a ViT without one are not used.

    Args:
        vit: a :class:`~mae_transfer.vit.ViT`, or a timm model with the same names.
        source: file, folder or dictionary, or the result of :func:`read_weights`.
        allow_missing: shell-style patterns of weights that may be missing from the checkpoint, e.g. ``('norm.*',)``.
        source_grid: (rows, columns) of the checkpoint's ``pos_embed``, and of its tables of relative positions by 2-D
            offset for blocks without windows; needed only where neither a sin-cos table nor the file shows it and it
            is no square (:func:`~mae_transfer.vit.weights.source_grid.find_source_grid`).
        weights_key: which ViT of a file with several (:func:`read_weights`).
        may_inflate: whether weights for another number of channels are taken, inflated, to train from; otherwise they
            are refused, as in testing.

    Returns:
        The report, which is also logged, as a warning where weights are missing or inflated.

    Raises:
        CheckpointError: another depth or width; a weight that is missing, unknown, of another shape or not finite;
            positions of an unknown grid; another number of channels, unless ``may_inflate``.
    """
    weights = source if isinstance(source, Weights) else read_weights(source, weights_key)
    target = vit.state_dict()
    try:
        _check_size(weights, target)
        check_distillation(weights.encoder, target)
        check_design(weights.encoder, weights.layout, target, getattr(vit, 'design', None))
        given = None if source_grid is None else checked_grid(source_grid)
        encoder, rows = add_class_row(weights.encoder, given, weights.grid and weights.grid.grid, grid_of(vit))
        encoder, bridged = bridge(encoder, target)
        if not may_inflate:
            _check_channels(weights.encoder, target)
        grid = None if given is None else SourceGrid(given, 'source_grid')
        patches = patch_positions(encoder)
        if patches is not None and 'pos_embed' in target:
            grid = find_source_grid(patches, weights.grid, source_grid, grid_of(vit))
        fitted = dict(encoder)
        for name, value in encoder.items():
            if name in target:
                fitted[name] = fit_weight(name, value, vit, encoder, target, grid)
        missing, unexpected, reshaped = compare_states(fitted, target)
        _check_unexpected(unexpected)
        if reshaped:
            name = reshaped[0]
            found, wanted = tuple(encoder[name].shape), tuple(target[name].shape)
            raise CheckpointError(f"'{name}' is {found} in the checkpoint, {wanted} in the model")
    except CheckpointError as error:
        raise CheckpointError(f'{weights.source}: {error}') from error
    report = _report(weights, encoder, fitted, target, missing, unexpected)
    report.bridged = [rows, *bridged] if rows else bridged
    report.grid, report.model_grid = grid, grid_of(vit) if grid else None
    forbidden = [name for name in report.missing if not any(fnmatch(name, pattern) for pattern in allow_missing)]
    if forbidden:
        raise CheckpointError(
            f'{weights.source} lacks {shorten(forbidden)}; name them in allow_missing if they may stay as they are'
        )
    with torch.no_grad():
        for name in report.loaded:
            target[name].copy_(fitted[name])  # state_dict shares the parameters' memory
    print_log(str(report), logger='current', level=report.level)
    return report


def _report(
    weights: Weights,
    encoder: Mapping[str, Tensor],
    fitted: Mapping[str, Tensor],
    target: Mapping[str, Tensor],
    missing: list[str],
    unexpected: list[str],
) -> LoadReport:
    """The report on loading ``fitted``, weights of ``encoder`` in the model's shapes, into a model of ``target``."""
    report = LoadReport(layout=weights.layout, source=weights.source, bands=weights.bands, notes=weights.notes)
    report.loaded = [name for name in fitted if name in target]
    report.missing = missing
    if not any(map(is_rel_pos_table, report.loaded)):
        report.at_zero = [name for name in missing if is_rel_pos_table(name)]
        report.missing = [name for name in missing if not is_rel_pos_table(name)]
    report.unexpected = [
        *unexpected,
        *weights.head,
        *weights.other,
        *(f'decoder.{name}' for name in weights.decoder or ()),
    ]
    for name in report.loaded:
        old, new = encoder[name], fitted[name]
        if name == 'patch_embed.proj.weight' and old.shape[1] != new.shape[1]:
            report.inflated[name] = describe_inflation(old.shape[1], new.shape[1])
            if old.shape[2:] == new.shape[2:]:
                continue
        # Positions that only lost the class token's row are not resized.
        if new is not old and not _is_tail(new, old):
            report.resized[name] = (tuple(old.shape), tuple(new.shape))
    return report


def _is_tail(fitted: Tensor, value: Tensor) -> bool:
    """Whether ``fitted`` equals the last rows of ``value``."""
    return fitted.ndim == 3 and fitted.shape[1] <= value.shape[1] and torch.equal(fitted, value[:, -fitted.shape[1] :])


def _check_unexpected(names: Sequence[str]) -> None:
    """Raise if the encoder has a weight that the model lacks, except for class token and final norm."""
    names = [name for name in names if name != 'cls_token' and not name.startswith('norm.')]
    if not names:
        return
    if table := next(filter(is_rel_pos_table, names), None):
        raise CheckpointError(
            f"the checkpoint has relative positions ('{table}') that the model lacks: choose "
            f"rel_pos='{rel_pos_kind(table)}'"
        )
    more = f' (and {len(names) - 1} more have none: {shorten(names[1:], 3)})' if names[1:] else ''
    raise CheckpointError(
        f"'{names[0]}' of the checkpoint has no counterpart in the model: it is another architecture{more}"
    )


def _check_size(weights: Weights, target: Mapping[str, Tensor]) -> None:
    """Raise unless the checkpoint has blocks, and the model's width and depth."""
    found, wanted = width_and_depth(weights.encoder), width_and_depth(target)
    if not found[1]:
        names = [*weights.encoder, *weights.other]
        kind = f', as of {kind}' if (kind := looks_like(names)) else ''
        raise CheckpointError(f'the checkpoint has no blocks: found {shorten(names)}{kind}')
    if found != wanted:
        advice = f'choose arch dict(embed_dim={found[0]}, depth={found[1]}, num_heads=...)'
        for arch, size in SIZES.items():
            if (size.embed_dim, size.depth) == found:
                advice = f"choose arch '{arch}'"
        raise CheckpointError(
            f'checkpoint is of embed_dim {found[0]}, depth {found[1]}; the model of {wanted[0]}, depth '
            f'{wanted[1]}: {advice}'
        )


def _check_channels(encoder: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> None:
    """Raise if the checkpoint takes images of another number of channels."""
    name = 'patch_embed.proj.weight'
    found, wanted = (state[name].shape[1] if name in state else None for state in (encoder, target))
    if found and found != wanted:
        raise CheckpointError(
            f'checkpoint takes {found} image channels; the model {wanted}: use the config that it was trained with'
        )


def width_and_depth(state: Mapping[str, Tensor]) -> tuple[int | None, int]:
    """(embed_dim, depth) of a ViT, from the names and shapes of its weights."""
    width, blocks = None, set()
    for name, value in state.items():
        if width is None and re.match(r'(patch_embed\.proj|blocks\.\d+\.norm1)\.', name):
            width = value.shape[0]
        if match := re.match(r'blocks\.(\d+)\.', name):
            blocks.add(match[1])
    return width, len(blocks)
