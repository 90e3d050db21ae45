"""Pipelines: progress is read from the logs, lanes run at the same time, a step that fails ends the pipeline."""

from __future__ import annotations

import pytest

from mae_transfer.experiments.steps import PROGRESS, Pipeline, Stage, Step


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
def test_progress_is_read_from_the_log(line, found):
    assert PROGRESS.search(line).groups()[:3] == found


def pipeline(folder, *lanes):
    steps = [[Step(name, ['-c', code], 1.0) for name, code in lane] for lane in lanes]
    return Pipeline([Stage('a stage', steps), Stage('another', [[Step('end', ['-c', 'print("end")'], 1.0)]])], folder)


def test_every_step_runs_and_leaves_its_log(tmp_path, capsys):
    pipeline(tmp_path, [('one', 'print("first")'), ('two', 'print("second")')], [('three', 'print("third")')]).run()
    assert [(tmp_path / f'0{i}.log').read_text() for i in (1, 2, 3, 4)] == ['first\n', 'second\n', 'third\n', 'end\n']
    assert '[2/2] another' in capsys.readouterr().out


def test_the_progress_of_a_step_is_shown(tmp_path, capsys):
    line = '- INFO - Epoch(train)  [1][{}/4]  base_lr: 1e-03  loss: 0.5'
    code = f'import time\nprint({line.format(1)!r}, flush=True)\ntime.sleep(.2)\nprint({line.format(2)!r})'
    steps = pipeline(tmp_path, [('MAE', code)])
    steps.tty = True  # at most one line a second, the first at once
    steps.run()
    shown = capsys.readouterr().out.split('\r')
    assert '25%' in shown[1] and 'min left  MAE loss: 0.5' in shown[1]
    assert any('100%' in line for line in shown)
    assert [step.share for step in steps.steps] == [1.0, 1.0] and steps.steps[0].took > 0.2


def test_the_lanes_of_a_stage_run_at_the_same_time(tmp_path):
    # Each waits for a file of the other: run one after the other they would time out.
    meet = (
        'import pathlib, sys, time; mine, other = map(pathlib.Path, ({!r}, {!r})); mine.touch(); end = time.time() + '
        '60\n'
        'while not other.exists() and time.time() < end: time.sleep(.05)\n'
        'sys.exit(not other.exists())'
    )
    a, b = str(tmp_path / 'a'), str(tmp_path / 'b')
    pipeline(tmp_path, [('left', meet.format(a, b))], [('right', meet.format(b, a))]).run()
    assert (tmp_path / '03.log').exists()


def test_a_step_that_fails_ends_the_pipeline_with_its_exit_code_and_log(tmp_path, capsys):
    never = f'open({str(tmp_path / "ran")!r}, "w")'
    with pytest.raises(SystemExit) as ended:
        pipeline(tmp_path, [('breaks', 'print("because"); raise SystemExit(3)'), ('never', never)]).run()
    assert ended.value.code == 3
    assert 'because' in capsys.readouterr().err
    assert not (tmp_path / 'ran').exists() and not (tmp_path / '03.log').exists()


def test_lanes_share_the_cores(monkeypatch, tmp_path):
    monkeypatch.setattr('os.cpu_count', lambda: 8)
    lane = [Step('', ['-c', ''], 1.0)]
    assert [Stage('', [lane] * count).threads for count in (1, 2, 4, 16)] == [4, 4, 2, 1]
    monkeypatch.delenv('OMP_NUM_THREADS', raising=False)
    show = 'import os; print(os.environ["OMP_NUM_THREADS"])'
    pipeline(tmp_path, [('one', show)]).run()
    monkeypatch.setenv('OMP_NUM_THREADS', '3')
    pipeline(tmp_path / 'chosen', [('one', show)]).run()
    assert [(folder / '01.log').read_text() for folder in (tmp_path, tmp_path / 'chosen')] == ['4\n', '3\n']


def test_the_time_of_a_stage_is_that_of_its_longest_lane():
    stage = Stage('', [[Step('', [], 1.0), Step('', [], 3.0)], [Step('', [], 2.0)]])
    stage.lanes[0][0].share = stage.lanes[1][0].share = 1.0
    assert stage.seconds == 4 and stage.share == 0.25


def test_new_pictures_are_told_of_as_they_come(tmp_path, capsys):
    pictures = tmp_path / 'pictures'
    pictures.mkdir()
    for name in ('old', 'again'):
        (pictures / f'{name}.png').touch()
    code = (
        'import os, pathlib, time; folder = pathlib.Path({!r})\n'
        'print("begin", flush=True); time.sleep(.2)\n'
        'os.utime(folder / "again.png"); print("drawn", flush=True); time.sleep(.2)\n'
        '(folder / "last.png").touch()'
    )
    step = Step('MAE', ['-c', code.format(str(pictures))], 1.0, pictures=pictures)
    pipeline = Pipeline([Stage('a stage', [[step]])], tmp_path / 'logs')
    pipeline.run()
    assert [path.name for path in step.drawn] == ['again.png', 'last.png']
    first, last = step.drawn.values()
    assert 0 < first < last
    lines = [line.strip() for line in capsys.readouterr().out.splitlines() if 'picture after' in line]
    assert lines == [f'picture after {seconds:.0f} s: {path}' for path, seconds in step.drawn.items()]
