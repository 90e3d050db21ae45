"""The tables, CSV and plots of an ablation."""

from __future__ import annotations

import csv
import json

import pytest
from PIL import Image

from mae_transfer.experiments.ablation_results import Result, markdown, pretraining_seconds, write_csv, write_plots


def example_results() -> list[Result]:
    """Two rows of a table of numbers, the first one not measured yet, and one row of a table of names."""

    def row(name, published, baseline, top1, seconds):
        return Result(name, published, baseline, 100_000_000, 1.5, top1, seconds)

    return [
        row('deep', dict(table='Table 1a', axis='depth', row=8, finetune=84.9, linear=73.5), True, {0: {}, 1: {}}, {}),
        row(
            'flat',
            dict(table='Table 1a', axis='depth', row=1, finetune=84.8, linear=65.5),
            False,
            {0: dict(knn=20.0, fastprobe=40.25), 1: dict(knn=22.0)},
            {0: 60.0, 1: 120.0},
        ),
        row(
            'h',
            dict(table='Table 2', axis='size', row='ViT-H', place=1, hours=119.6),
            False,
            {0: dict(knn=30.0)},
            {0: 90.0},
        ),
    ]


def test_markdown():
    text = markdown(example_results(), ['knn', 'fastprobe'], 'ViT 16x1x2').splitlines()
    assert text[0] == 'ViT 16x1x2' and '**Table 1a: depth**' in text and '**Table 2: size**' in text
    assert '| depth | fine-tune, paper | linear, paper | k-NN | linear | MFLOPs | x baseline | minutes |' in text
    flat = text.index('| 1 | 84.8 | 65.5 | **21.0** (20.0, 22.0) | **40.2** (40.2) | 100 | 1.50 | 1.5 |')
    assert text[flat + 1] == '| **8** | 84.9 | 73.5 |  |  | 100 | 1.50 |  |'
    assert '| size | hours, paper | k-NN | linear | MFLOPs | x baseline | minutes |' in text
    assert '| ViT-H | 119.6 | **30.0** (30.0) |  | 100 | 1.50 | 1.5 |' in text


def test_csv(tmp_path):
    write_csv(tmp_path / 'table.csv', example_results(), ['knn', 'fastprobe'])
    with open(tmp_path / 'table.csv', newline='') as file:
        lines = list(csv.DictReader(file))
    assert [(line['config'], line['seed'], line['knn'], line['fastprobe'], line['seconds']) for line in lines] == [
        ('deep', '0', '', '', ''),
        ('deep', '1', '', '', ''),
        ('flat', '0', '20.0', '40.25', '60.0'),
        ('flat', '1', '22.0', '', '120.0'),
        ('h', '0', '30.0', '', '90.0'),
    ]
    assert (lines[0]['baseline'], lines[2]['paper_finetune'], lines[4]['paper_hours']) == ('1', '84.8', '119.6')


def test_plots(tmp_path):
    files = write_plots(tmp_path, example_results(), ['knn', 'fastprobe'], 'small')
    assert [file.name for file in files] == ['table1a.png', 'table2.png']
    for file in files:
        with Image.open(file) as picture:
            assert picture.width > 1000 and len(picture.convert('RGB').getcolors(2**24)) > 20


def test_the_duration_is_that_of_the_iterations(tmp_path):
    assert pretraining_seconds(tmp_path) is None
    # A run of 200 iterations that was stopped after the 150th and resumed from the 100th; validations do not count.
    for name, steps in (('1', (50, 100, 150)), ('2', (150, 200))):
        (tmp_path / name / 'vis_data').mkdir(parents=True)
        lines = [dict(iter=step, loss=1.0, time=0.5) for step in steps] + [dict(step=1, time=9.0, data_time=1.0)]
        (tmp_path / name / 'vis_data' / 'scalars.json').write_text('\n'.join(map(json.dumps, lines)))
    assert pretraining_seconds(tmp_path) == pytest.approx(100)
