"""What tools/ablate.py writes: Markdown, CSV and a plot for each axis, of the paper's numbers beside the measured
ones."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, median
from typing import NamedTuple

from readings import cell

from mae_transfer.visualization.ablation import ablation_figure

#: of the paper's numbers -> their column
PUBLISHED = {'finetune': 'fine-tune, paper', 'linear': 'linear, paper', 'hours': 'hours, paper'}
#: of the readings -> their column
MEASURED = {'knn': 'k-NN', 'fastprobe': 'linear', 'finetune': 'fine-tune'}


class Result(NamedTuple):
    """What is known of a row.

    Args:
        name: of its config, without suffix.
        published: its ``published``.
        is_baseline: whether it is what the other rows depart from.
        flops: of a forward pass for one image.
        flops_ratio: over the baseline's.
        top1: {seed: {reading: per cent}}, as far as it was measured.
        seconds: {seed: of the pre-training}, likewise.
    """

    name: str
    published: dict
    is_baseline: bool
    flops: int
    flops_ratio: float
    top1: dict[int, dict[str, float]]
    seconds: dict[int, float]

    def of(self, reading: str) -> list[float]:
        """The seeds' top-1."""
        return [values[reading] for values in self.top1.values() if reading in values]


def pretraining_seconds(work_dir: Path) -> float | None:
    """How long a pre-training's iterations took, by its log; starts and validations are not counted, nor what was done
    twice.

    None where there is no log yet.
    """
    lines = [
        json.loads(line) for file in work_dir.glob('*/vis_data/scalars.json') for line in file.read_text().splitlines()
    ]
    lines = [line for line in lines if {'iter', 'time', 'loss'} <= set(line)]
    return median(line['time'] for line in lines) * max(line['iter'] for line in lines) if lines else None


def tables(results: Sequence[Result]) -> dict[str, list[Result]]:
    """The results by the paper's table, in its order."""
    found: dict[str, list[Result]] = {}
    for result in results:
        found.setdefault(result.published['table'], []).append(result)
    for rows in found.values():
        if all('place' in row.published or isinstance(row.published['row'], (int, float)) for row in rows):
            rows.sort(key=lambda row: row.published.get('place', row.published['row']))
    return found


def markdown(results: Sequence[Result], readings: Sequence[str], words: str) -> str:
    """A table for each of the paper's, the baseline in bold.

    Args:
        readings: keys of :data:`MEASURED`.
        words: on what was run.
    """
    parts = [words]
    for name, rows in tables(results).items():
        published = [key for key in PUBLISHED if any(key in row.published for row in rows)]
        head = [
            rows[0].published['axis'],
            *(PUBLISHED[key] for key in published),
            *(MEASURED[key] for key in readings),
            'MFLOPs',
            'of the baseline',
            'minutes',
        ]
        lines = [f'**{name}: {head[0]}**', '', f'| {" | ".join(head)} |', '|---' * len(head) + '|']
        for row in rows:
            label = str(row.published['row'])
            cells = [f'**{label}**' if row.is_baseline else label]
            cells += [str(row.published.get(key, '')) for key in published]
            cells += [cell(row.of(key)) for key in readings]
            cells += [f'{row.flops / 1e6:.0f}', f'{row.flops_ratio:.2f}']
            cells.append(f'{mean(row.seconds.values()) / 60:.1f}' if row.seconds else '')
            lines.append(f'| {" | ".join(cells)} |')
        parts.append('\n'.join(lines))
    parts.append(
        'Paper: ImageNet-1k, ViT-L where a row does not say otherwise. Measured: every row with the ViT above; top-1 '
        'in per cent, '
        'mean of the seeds and each of them. Bold: the baseline. MFLOPs: forward pass of a training step for one '
        'image, a '
        'multiply-add as two. Minutes: iterations of one pre-training.'
    )
    return '\n\n'.join(parts)


def write_csv(file: Path, results: Sequence[Result], readings: Sequence[str]) -> None:
    """A line for each row and seed; empty where nothing is known."""
    with open(file, 'w', newline='', encoding='utf-8') as out:
        writer = csv.writer(out)
        writer.writerow(
            [
                'table',
                'axis',
                'row',
                'config',
                'baseline',
                *(f'paper_{key}' for key in PUBLISHED),
                'seed',
                *readings,
                'flops',
                'flops_ratio',
                'seconds',
            ]
        )
        for result in results:
            published = result.published
            for seed, top1 in result.top1.items():
                writer.writerow(
                    [
                        published['table'],
                        published['axis'],
                        published['row'],
                        result.name,
                        int(result.is_baseline),
                        *(published.get(key, '') for key in PUBLISHED),
                        seed,
                        *(round(top1[key], 4) if key in top1 else '' for key in readings),
                        result.flops,
                        f'{result.flops_ratio:.4f}',
                        f'{result.seconds[seed]:.1f}' if seed in result.seconds else '',
                    ]
                )


def write_plots(folder: Path, results: Sequence[Result], readings: Sequence[str], words: str) -> list[Path]:
    """A PNG for each of the paper's tables, ``table1a.png``, ``fig5.png``; returns their paths."""
    files = []
    for name, rows in tables(results).items():
        figure = ablation_figure(
            name,
            rows[0].published['axis'],
            [row.published['row'] for row in rows],
            {
                key.replace('finetune', 'fine-tune'): [row.published.get(key) for row in rows]
                for key in ('finetune', 'linear')
            },
            {MEASURED[key]: [row.of(key) for row in rows] for key in readings},
            words,
        )
        files.append(folder / f'{name.lower().replace(" ", "").replace(".", "")}.png')
        figure.savefig(files[-1], dpi=120)
    return files
