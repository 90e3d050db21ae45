"""The figures of a run's sessions, each once; runs that are found; files that are cut, missing or broken."""

from __future__ import annotations

import json
import math

import pytest

from mae_transfer.errors import UserError
from mae_transfer.reporting.run_files import (
    FoundRun,
    advice_of,
    confusion_of,
    find_runs,
    metrics_of_test,
    read_course,
    read_log,
    reconstructions_of,
)
from tests.reporting.runs import line, write_classifier, write_pictures, write_session


def iterations(course):
    return [one['iter'] for one in course.training]


def test_a_resumed_run_has_each_figure_once(tmp_path):
    first = [
        line(5),
        line(10),
        {'accuracy/top1': 1.0, 'step': 1},
        line(15),
        line(20),
        {'accuracy/top1': 2.0, 'step': 2},
    ]
    write_session(tmp_path, '20260131_120000', [*first, line(25, 7.0)])
    second = [line(15, 3.0), line(20, 2.0), {'accuracy/top1': 3.0, 'step': 2}]
    write_session(tmp_path, '20260131_130000', second)
    course = read_course(tmp_path)
    assert iterations(course) == [5, 10, 15, 20] and [one['loss'] for one in course.training] == [1, 1, 3, 2]
    assert [one.values['accuracy/top1'] for one in course.validation] == [1.0, 3.0]
    assert course.notes == [
        '20260131_130000 went on from a checkpoint before iteration 15: 3 later lines of the session before it are not '
        'shown'
    ]


def test_a_run_that_was_resumed_at_its_end_loses_nothing(tmp_path):
    write_session(tmp_path, '20260131_120000', [line(5), line(10), {'accuracy/top1': 1.0, 'step': 1}])
    write_session(tmp_path, '20260131_130000', [line(15), {'accuracy/top1': 2.0, 'step': 2}])
    course = read_course(tmp_path)
    assert iterations(course) == [5, 10, 15] and len(course.validation) == 2
    assert course.notes == ['20260131_130000 went on before iteration 15']


def test_of_a_run_that_began_again_the_last_is_shown(tmp_path):
    write_session(tmp_path, '20260131_120000', [line(5, 9.0), line(10, 9.0), {'accuracy/top1': 1.0, 'step': 1}])
    write_session(tmp_path, '20260131_130000', [line(5)])
    course = read_course(tmp_path)
    assert [one['loss'] for one in course.training] == [1.0] and not course.validation
    assert 'began again from the start' in course.notes[0]


def test_a_session_without_figures_changes_nothing(tmp_path):
    write_session(tmp_path, '20260131_120000', [line(5)])
    write_session(tmp_path, '20260131_130000', [])
    assert iterations(read_course(tmp_path)) == [5]


def test_a_last_line_that_is_cut_is_told_and_one_within_is_counted(tmp_path):
    folder = write_session(tmp_path, '20260131_120000', [line(5), line(10), line(15)])
    path = folder / 'vis_data' / 'scalars.json'
    path.write_text(path.read_text()[:-20])
    course = read_course(tmp_path)
    assert iterations(course) == [5, 10] and 'the last line of 20260131_120000 is cut' in course.notes[0]
    path.write_text(path.read_text().replace('{"lr"', '{"lr', 1) + '\n' + json.dumps(line(20)) + '\n')
    course = read_course(tmp_path)
    assert iterations(course) == [10, 20] and '2 lines of 20260131_120000 cannot be read' in course.notes[0]


def test_a_loss_that_is_no_number_stays(tmp_path):
    write_session(tmp_path, '20260131_120000', [line(5, float('nan')), dict(line(10), what='text', flag=True)])
    first, second = read_course(tmp_path).training
    assert math.isnan(first['loss']) and 'what' not in second and 'flag' not in second


def test_runs_are_found_in_folders_and_by_checkpoints(tmp_path):
    write_classifier(tmp_path / 'all' / 'a')
    write_classifier(tmp_path / 'all' / 'more' / 'b')
    write_session(tmp_path / 'all' / 'a_test', '20260131_140000', [])
    write_session(tmp_path / 'all' / 'a' / 'test', '20260131_140000', [])
    (tmp_path / 'all' / 'a' / 'epoch_2.pth').touch()
    a, b = tmp_path / 'all' / 'a', tmp_path / 'all' / 'more' / 'b'
    assert find_runs([tmp_path / 'all']) == [FoundRun(a), FoundRun(b)]
    assert find_runs([a, str(a), a / 'epoch_2.pth']) == [FoundRun(a), FoundRun(a, a / 'epoch_2.pth')]
    assert find_runs([a / 'epoch_2.pth'])[0].weights == a / 'epoch_2.pth'


@pytest.mark.parametrize(
    'path, line',
    [
        ('nothing', "there is no run '{}/nothing'"),
        ('empty', '{}/empty is no run: a work_dir has a folder of a log, such as 20260131_120000; found nothing'),
        ('other', 'found notes.txt'),
        ('other/notes.txt', '{}/other/notes.txt has no log of a run beside it'),
    ],
)
def test_what_is_no_run_is_one_line(path, line, tmp_path):
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'other').mkdir()
    (tmp_path / 'other' / 'notes.txt').touch()
    with pytest.raises(UserError) as error:
        find_runs([tmp_path / path])
    assert line.format(tmp_path) in str(error.value) and '\n' not in str(error.value)


def test_the_newest_test_counts(tmp_path):
    run = write_classifier(tmp_path / 'run')
    assert metrics_of_test(run) is None and confusion_of(run) is None
    for place, name, value in (
        (run, '20260131_130000', 1.0),
        (run / 'test', '20260131_150000', 3.0),
        (tmp_path / 'run_test', '20260131_140000', 2.0),
    ):
        folder = write_session(place, name, [])
        (folder / f'{name}.json').write_text(json.dumps({'accuracy/top1': value, 'time': 1.0}))
        write_pictures(folder, 'confusion.png')
    assert metrics_of_test(run) == ('20260131_150000', {'accuracy/top1': 3.0})
    assert confusion_of(run) == run / 'test' / '20260131_150000' / 'confusion.png'


def test_pictures_are_in_the_order_of_training(tmp_path):
    folder = tmp_path / 'reconstructions'
    write_pictures(folder, 'epoch_9.png', 'epoch_10.png', 'last.png')
    assert [path.stem for path in reconstructions_of(tmp_path)] == ['epoch_9', 'epoch_10', 'last']
    (folder / 'last.png').write_bytes((folder / 'epoch_10.png').read_bytes())
    assert [path.stem for path in reconstructions_of(tmp_path)] == ['epoch_9', 'epoch_10']


def test_logs_have_times_and_the_environment(tmp_path):
    log = read_log(write_session(tmp_path, '20260131_120000', []))
    assert (log.ended - log.began).total_seconds() == 90
    assert log.environment.splitlines() == ['System environment:', '    Python: 3.11.7']
    assert read_log(write_session(tmp_path, '20260131_130000', [], log=None)).began is None


def test_advice_is_that_of_the_newest_session_with_one(tmp_path):
    assert advice_of(tmp_path) is None
    folder = write_session(tmp_path, '20260131_120000', [])
    write_session(tmp_path, '20260131_130000', [])
    (folder / 'vis_data' / 'advice.json').write_text('[{"text": "go on", "is_warning": false}]')
    assert advice_of(tmp_path) == [('go on', False)]
    (folder / 'vis_data' / 'advice.json').write_text('[{')
    with pytest.raises(UserError, match='advice.json cannot be read'):
        advice_of(tmp_path)
