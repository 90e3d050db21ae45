"""What a report consists of, apart from its form."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Table:
    columns: tuple[str, ...]
    rows: tuple[tuple[str | float | int | None, ...], ...]
    caption: str = ''


@dataclass(frozen=True)
class Plot:
    svg: str  # an <svg> element, made by this package
    caption: str = ''


@dataclass(frozen=True)
class Picture:
    image: np.ndarray  # (height, width, 3) uint8
    caption: str = ''


@dataclass(frozen=True)
class Section:
    title: str
    text: str = ''
    parts: tuple[Table | Plot | Picture, ...] = ()
