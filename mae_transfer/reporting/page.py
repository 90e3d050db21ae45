"""From what a report consists of to one HTML file."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Any

import jinja2

from ..version import __version__
from .comparison import Comparison
from .images import Embedded
from .sections import Picture, Plot, Section, Table

_FILES = Path(__file__).parent
#: The kinds of parts, in the words of the template.
_KINDS = {Table: 'tables', Plot: 'plots', Picture: 'pictures'}


@dataclass(frozen=True)
class RunView:
    """What the page shows of a run, in the words of :mod:`~mae_transfer.reporting.facts`."""

    anchor: str
    name: str
    task: str
    result: str
    start: str
    state: str
    unfinished: bool
    verdict: Sequence[tuple[str, bool]]
    published: str | None
    facts: Sequence[tuple[str, str]]
    notes: Sequence[str]
    sections: Sequence[Section]
    command: str
    changed: Table | None
    environment: str
    config: str


@dataclass(frozen=True)
class Page:
    """A report, apart from its form.

    Attributes:
        title: of the page.
        lead: what came out, in a few lines, and whether each warns.
        folders: what a folder of several runs has beside them.
    """

    title: str
    lead: Sequence[tuple[str, bool]]
    comparisons: Sequence[Comparison]
    folders: Sequence[Section]
    runs: Sequence[RunView]

    def pictures(self) -> Iterator[Picture]:
        """All pictures, in the order of the page."""
        for section in (*self.folders, *(section for run in self.runs for section in run.sections)):
            yield from (part for part in section.parts if isinstance(part, Picture))

    def html(self, images: Sequence[Embedded | None], left_out: Sequence[str] = ()) -> str:
        """The page.

        Args:
            images: of its pictures, in their order; None for one that is left out.
            left_out: what the page lacks, a sentence each.
        """
        by_picture = {id(picture): image for picture, image in zip(self.pictures(), images)}

        def view(section: Section) -> dict[str, Any]:
            groups = []
            for kind, parts in groupby(section.parts, lambda part: _KINDS[type(part)]):
                shown = [
                    dict(image=by_picture[id(part)], caption=part.caption) if isinstance(part, Picture) else part
                    for part in parts
                ]
                groups.append((kind, shown))
            return dict(title=section.title, text=section.text, groups=groups)

        runs = [dict(vars(run), sections=list(map(view, run.sections))) for run in self.runs]
        environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(_FILES), autoescape=True, trim_blocks=True, undefined=jinja2.StrictUndefined
        )
        environment.filters['cell'] = cell
        environment.globals['is_number'] = is_number_column
        return environment.get_template('page.html.jinja').render(
            title=self.title,
            lead=self.lead,
            comparisons=self.comparisons,
            folders=list(map(view, self.folders)),
            runs=runs,
            left_out=left_out,
            version=__version__,
            made=datetime.now().strftime('%Y-%m-%d %H:%M'),
            css=(_FILES / 'page.css').read_text(encoding='utf-8'),
            js=(_FILES / 'page.js').read_text(encoding='utf-8'),
        )


def cell(value: str | float | int | None) -> str:
    """A cell of a table as text: four digits of a number that is not whole."""
    if value is None:
        return '–'
    if isinstance(value, float):
        return f'{value:.4g}' if math.isfinite(value) and 1e-4 <= abs(value) < 1e4 else f'{value:,.6g}'
    return str(value)


def is_number_column(table: Table, column: int) -> bool:
    """Whether a column has numbers alone."""
    values = [row[column] for row in table.rows if row[column] is not None]
    return bool(values) and all(isinstance(value, (int, float)) for value in values)
