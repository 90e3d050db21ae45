"""The quickstart's walk: progress is read, a step that fails ends it, the table holds what was measured."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from argparse import Namespace
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / 'tools' / 'quickstart.py'


@pytest.fixture(scope='module')
def quickstart():
    spec = importlib.util.spec_from_file_location('quickstart', SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules['quickstart'] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    'line, found',
    [
        (
            '11/21 23:46 - mmengine - INFO - Epoch(train)  [2][100/306]  base_lr: 7.4946e-04  loss: 0.6853',
            ('2', '100', '306'),
        ),
        (
            '11/21 23:46 - mmengine - INFO - Iter(train) [ 30/240]  base_lr: 4.6875e-04  loss: 3.1216',
            (None, '30', '240'),
        ),
        ('11/21 23:46 - mmengine - INFO - Epoch(test) [48/48]    aAcc: 62.0200', (None, '48', '48')),
    ],
)
def test_progress_is_read_from_the_log(quickstart, line, found):
    assert quickstart.PROGRESS.search(line).groups()[:3] == found


def walk(quickstart, folder, *lanes):
    steps = [[quickstart.Step(name, ['-c', code], 1.0) for name, code in lane] for lane in lanes]
    return quickstart.Walk(
        [
            quickstart.Stage('a stage', steps),
            quickstart.Stage('another', [[quickstart.Step('end', ['-c', 'print("end")'], 1.0)]]),
        ],
        folder,
    )


def test_every_step_runs_and_leaves_its_log(quickstart, tmp_path, capsys):
    walk(
        quickstart, tmp_path, [('one', 'print("first")'), ('two', 'print("second")')], [('three', 'print("third")')]
    ).run()
    assert [(tmp_path / f'0{i}.log').read_text() for i in (1, 2, 3, 4)] == ['first\n', 'second\n', 'third\n', 'end\n']
    assert '[2/2] another' in capsys.readouterr().out


def test_the_lanes_of_a_stage_run_side_by_side(quickstart, tmp_path):
    # Each waits for what the other writes: one after the other they would never end.
    meet = (
        'import pathlib, sys, time; mine, other = map(pathlib.Path, ({!r}, {!r})); mine.touch(); end = time.time() + '
        '60\n'
        'while not other.exists() and time.time() < end: time.sleep(.05)\n'
        'sys.exit(not other.exists())'
    )
    a, b = str(tmp_path / 'a'), str(tmp_path / 'b')
    walk(quickstart, tmp_path, [('left', meet.format(a, b))], [('right', meet.format(b, a))]).run()
    assert (tmp_path / '03.log').exists()


def test_a_step_that_fails_ends_the_walk_with_its_code_and_log(quickstart, tmp_path, capsys):
    never = f'open({str(tmp_path / "ran")!r}, "w")'
    with pytest.raises(SystemExit) as ended:
        walk(quickstart, tmp_path, [('breaks', 'print("because"); raise SystemExit(3)'), ('never', never)]).run()
    assert ended.value.code == 3
    assert 'because' in capsys.readouterr().err
    assert not (tmp_path / 'ran').exists() and not (tmp_path / '03.log').exists()


def test_the_table_holds_what_the_tests_measured(quickstart, tmp_path):
    measured = {
        'maskrcnn_random_test': {'coco/bbox_mAP': 0.125, 'coco/segm_mAP': 0.25},
        'maskrcnn_mae_test': {'coco/bbox_mAP': 0.5, 'coco/segm_mAP': 0.375},
        'upernet_random_test': {'mIoU': 31.25},
        'upernet_mae_test': {'mIoU': 42.5},
        'mae_test': {'reconstruction/masked_loss': 0.625},
    }
    for name, metrics in measured.items():
        for i, content in enumerate(({key: 0.0 for key in metrics}, metrics)):  # an older run must not win
            file = tmp_path / name / f'run{i}' / f'run{i}.json'
            file.parent.mkdir(parents=True)
            file.write_text(json.dumps(content))
            os.utime(file, (1000 + i, 1000 + i))
    steps = [
        quickstart.Step('', ['tools/train.py', 'configs/quickstart/x.py', '--work-dir', str(tmp_path / name)], 1.0)
        for name in ('mae', 'maskrcnn_random', 'maskrcnn_mae', 'upernet_random', 'upernet_mae')
    ]
    for step in steps:
        step.took = 90.0
    quickstart.report(
        tmp_path, quickstart.Walk([quickstart.Stage('', [steps])], tmp_path), Namespace(seed=7, pretrain_only_here=True)
    )
    table = (tmp_path / 'table.md').read_text()
    assert '| random | 12.5 | 25.0 | 31.2 | 3.0 |' in table
    assert '| MAE | 50.0 | 37.5 | 42.5 | 3.0 |' in table
    assert '0.6250' in table and 'the 1.5 minutes of pre-training done here' in table and 'Seed 7' in table
