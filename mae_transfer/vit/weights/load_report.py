"""The report on loading a checkpoint into a ViT: everything that was changed or left out."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Any

from ...errors import shorten
from .source_grid import SourceGrid, format_shape


@dataclass
class LoadReport:
    """What became of each weight.

    ``resized`` maps a name to its shapes (in the checkpoint, in the model), ``inflated`` to what was done to its
    channels. ``bridged`` says what was done where checkpoint and model have other parts that compute the same
    (:mod:`~mae_transfer.vit.weights.bridges`). ``grid`` is that of the checkpoint's positions, ``model_grid`` that of
    the model's. ``at_zero`` are the model's relative positions, if the checkpoint has none: they keep their initial
    zeros. ``bands`` are those that the run of the checkpoint saw, if it states them; ``notes`` say how the file was
    read, where that is not plain.
    """

    loaded: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    at_zero: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    resized: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = field(default_factory=dict)
    inflated: dict[str, str] = field(default_factory=dict)
    bridged: list[str] = field(default_factory=list)
    grid: SourceGrid | None = None
    model_grid: tuple[int, int] | None = None
    layout: str = ''
    source: str = ''
    bands: Any = None
    notes: list[str] = field(default_factory=list)

    @property
    def level(self) -> int:
        """How loudly to log it."""
        return logging.WARNING if self.missing or self.inflated else logging.INFO

    def __str__(self) -> str:
        total = len(self.loaded) + len(self.missing) + len(self.at_zero)
        lines = [f'ViT: loaded {len(self.loaded)} of {total} weights from {self.source} (layout {self.layout})']
        lines += [f'  {note}' for note in self.notes]
        if self.resized:
            changes = [
                f'{name} {format_shape(old)} -> {format_shape(new)}' for name, (old, new) in self.resized.items()
            ]
            lines.append(f'  resized: {shorten(changes)}')
        lines += [f'  {name}: {change}' for name, change in self.inflated.items()]
        lines += [f'  {change}' for change in self.bridged]
        if self.bands not in (None, 'RGB', 'L'):
            numbers = tuple(self.bands) if isinstance(self.bands, list) else self.bands
            lines.append(f'  bands: its run saw bands={numbers} of the files, in this order')
        if self.grid and self.model_grid:
            rows, columns = self.grid.grid
            if self.grid.grid != self.model_grid:
                lines.append(f'  positions: of {self.grid}, resized to {format_shape(self.model_grid)}')
            elif rows != columns or not self.grid.is_known:
                lines.append(f'  positions: of {self.grid}')
        if self.at_zero:
            lines.append(
                '  relative positions, which the checkpoint has none of, left as they were (they start at zero): '
                f'{shorten(self.at_zero)}'
            )
        if self.missing:
            lines.append(f'  not in the checkpoint, left as they were: {shorten(self.missing)}')
        if self.unexpected:
            lines.append(f'  in the checkpoint, not used: {shorten(self.unexpected)}')
        return '\n'.join(lines)
