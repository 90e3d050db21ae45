"""The results of an ablation next to the paper's numbers: Markdown, CSV, and a plot for each of the paper's tables."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, median
from typing import NamedTuple

from ..visualization.ablation import ablation_figure
from .protocols import protocol_title, table_cell

#: The numbers that the paper may give for a row, and the headings of their columns.
PUBLISHED = {'finetune': 'fine-tune, paper', 'linear': 'linear, paper', 'hours': 'hours, paper'}
FOOTNOTE = (
    'Paper: ImageNet-1k, ViT-L unless a row says otherwise. Measured: every row with the ViT above; top-1 accuracy in '
    'per cent, mean of the seeds and, in brackets, each of them. Bold label: the baseline. MFLOPs: forward pass of a '
    'training step for one image; a multiply-add counts as two. Minutes: all iterations of one pre-training.'
)


class Result(NamedTuple):
    """The results of a row.

    Args:
        name: the name of its config file, without suffix.
        published: its config's ``published``: table, axis, row and the paper's numbers.
        is_baseline: whether the other rows are compared with it.
        flops: FLOPs of a forward pass for one image.
        flops_ratio: these FLOPs divided by the baseline's.
        top1: {seed: {protocol: top-1 accuracy in per cent}}, without what is not measured yet.
        seconds: {seed: duration of the pre-training}, likewise.
    """

    name: str
    published: dict
    is_baseline: bool
    flops: int
    flops_ratio: float
    top1: dict[int, dict[str, float]]
    seconds: dict[int, float]

    def top1_by(self, protocol: str) -> list[float]:
        """The top-1 accuracy of each seed by a protocol."""
        return [values[protocol] for values in self.top1.values() if protocol in values]


def pretraining_seconds(work_dir: Path) -> float | None:
    """How long a pre-training's iterations took, by its log; None if there is no log yet.

    It is the median time of an iteration times their number: start-up, validations, and iterations that a resumed run
    repeated, do not count.
    """
    files = work_dir.glob('*/vis_data/scalars.json')
    entries = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    iterations = [entry for entry in entries if {'iter', 'time', 'loss'} <= set(entry)]
    if not iterations:
        return None
    return median(entry['time'] for entry in iterations) * max(entry['iter'] for entry in iterations)


def tables(results: Sequence[Result]) -> dict[str, list[Result]]:
    """{the paper's table: the results of its rows, in the paper's order}."""
    found: dict[str, list[Result]] = {}
    for result in results:
        found.setdefault(result.published['table'], []).append(result)
    for rows in found.values():
        if all('place' in row.published or isinstance(row.published['row'], (int, float)) for row in rows):
            rows.sort(key=lambda row: row.published.get('place', row.published['row']))
    return found


def markdown(results: Sequence[Result], protocols: Sequence[str], caption: str) -> str:
    """Markdown: a table for each of the paper's, with the baseline in bold.

    Args:
        protocols: the protocols that get a column.
        caption: a description of the runs, put above the tables.
    """
    parts = [caption]
    for name, rows in tables(results).items():
        published = [key for key in PUBLISHED if any(key in row.published for row in rows)]
        head = [rows[0].published['axis']]
        head += [PUBLISHED[key] for key in published]
        head += [protocol_title(protocol) for protocol in protocols]
        head += ['MFLOPs', 'x baseline', 'minutes']
        lines = [f'**{name}: {head[0]}**', '', f'| {" | ".join(head)} |', '|---' * len(head) + '|']
        for row in rows:
            label = str(row.published['row'])
            cells = [f'**{label}**' if row.is_baseline else label]
            cells += [str(row.published.get(key, '')) for key in published]
            cells += [table_cell(row.top1_by(protocol)) for protocol in protocols]
            cells += [f'{row.flops / 1e6:.0f}', f'{row.flops_ratio:.2f}']
            cells.append(f'{mean(row.seconds.values()) / 60:.1f}' if row.seconds else '')
            lines.append(f'| {" | ".join(cells)} |')
        parts.append('\n'.join(lines))
    return '\n\n'.join([*parts, FOOTNOTE])


def write_csv(file: Path, results: Sequence[Result], protocols: Sequence[str]) -> None:
    """Write a line for each row and seed; what is not measured yet stays empty."""
    with open(file, 'w', newline='', encoding='utf-8') as out:
        writer = csv.writer(out)
        head = ['table', 'axis', 'row', 'config', 'baseline']
        head += [f'paper_{key}' for key in PUBLISHED]
        head += ['seed', *protocols, 'flops', 'flops_ratio', 'seconds']
        writer.writerow(head)
        for result in results:
            published = result.published
            for seed, top1 in result.top1.items():
                cells = [published['table'], published['axis'], published['row'], result.name, int(result.is_baseline)]
                cells += [published.get(key, '') for key in PUBLISHED]
                cells.append(seed)
                cells += [round(top1[protocol], 4) if protocol in top1 else '' for protocol in protocols]
                cells += [result.flops, f'{result.flops_ratio:.4f}']
                cells.append(f'{result.seconds[seed]:.1f}' if seed in result.seconds else '')
                writer.writerow(cells)


def write_plots(folder: Path, results: Sequence[Result], protocols: Sequence[str], caption: str) -> list[Path]:
    """Write a PNG for each of the paper's tables, e.g. ``table1a.png`` or ``fig5.png``; returns their paths."""
    files = []
    for name, rows in tables(results).items():
        published = {
            'fine-tune': [row.published.get('finetune') for row in rows],
            'linear': [row.published.get('linear') for row in rows],
        }
        measured = {protocol_title(protocol): [row.top1_by(protocol) for row in rows] for protocol in protocols}
        values = [row.published['row'] for row in rows]
        figure = ablation_figure(name, rows[0].published['axis'], values, published, measured, caption)
        files.append(folder / f'{name.lower().replace(" ", "").replace(".", "")}.png')
        figure.savefig(files[-1], dpi=120)
    return files
