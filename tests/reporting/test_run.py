"""What a run is, read from what it left."""

from __future__ import annotations

import json

import pytest

from mae_transfer.reporting.facts import environment_of, facts_of, published_line, results_table, state, verdict_of
from mae_transfer.reporting.run import names_of, read_run
from mae_transfer.reporting.run_files import FoundRun
from tests.reporting.runs import CLASSIFIER, PRETRAINING, RECORD, line, write_classifier, write_session

NAME = '20260131_120000'


def read(work_dir, name='run'):
    return read_run(FoundRun(work_dir), name)


def test_a_completed_run_says_what_it_was(tmp_path):
    run = read(write_classifier(tmp_path / 'run', 40.0, seed=3))
    facts = dict(facts_of(run))
    assert facts['task'] == 'classification' and facts['state'] == 'completed; epoch 2 of 2' and facts['seed'] == '3'
    assert facts['starts from'] == 'random weights' and facts['length'] == '2 epochs, 10 iterations each'
    assert facts['batch'] == '8 = 4 images x 1 process x 2 accumulated' and facts['time'] == '0:01:30, by the log'
    assert verdict_of(run) == [
        ('Top-1 40.0 (epoch 2); it was 35.0 at epoch 1.', False),
        ('For comparison: guessing among 4 classes is right in 25 %.', False),
    ]
    assert results_table(run).rows == (('accuracy/top1', 40.0, '40 (epoch 2)'),)
    assert 'torch 2.11.0' in environment_of(run) and 'commit of mae_transfer: 0123abc' in environment_of(run)


def test_what_older_runs_did_not_record_is_told(tmp_path):
    write_session(tmp_path, NAME, [line(5), {'accuracy/top1': 1.0, 'step': 1}])
    facts = dict(facts_of(run := read(tmp_path)))
    assert facts['device'] == 'not recorded' and 'how it ended is not recorded' in facts['state']
    assert environment_of(run).startswith('System environment:')  # which the log has


@pytest.mark.parametrize(
    'record, expected',
    [
        (RECORD, 'still running, or it was killed'),
        (dict(RECORD, end='ended early: stopped by Ctrl-C'), 'ended early: stopped by Ctrl-C; epoch 1 of 4'),
    ],
)
def test_a_run_that_is_not_at_its_end(record, expected, tmp_path):
    write_session(tmp_path, NAME, [line(5), line(10)], record=record)
    assert expected in state(read(tmp_path))


def test_an_empty_run(tmp_path):
    write_session(tmp_path, NAME, [], config=None, log=None)
    run = read(tmp_path)
    assert state(run) == 'no figures yet: it has just begun, or stopped before its first line'
    assert verdict_of(run) == [('No evaluation is in its figures.', False)] and results_table(run) is None
    assert run.task is None and run.course.notes == ['no session of this run has left its config']


def test_a_config_that_cannot_be_read_leaves_the_figures(tmp_path):
    write_session(tmp_path, NAME, [line(5), {'mIoU': 3.0, 'step': 1}], config=dict(model=dict(type='Nothing')))
    run = read(tmp_path)
    assert run.task is None and "there is no type 'Nothing'" in run.course.notes[0] and len(run.course.training) == 1


def test_the_best_of_a_metric_and_a_number_that_is_none(tmp_path):
    values = [50.0, 70.0, 60.0, float('nan')]
    lines = [one for i, value in enumerate(values, 1) for one in (line(10 * i), {'accuracy/top1': value, 'step': i})]
    write_session(tmp_path / 'a', NAME, lines[:6])
    assert 'the best was 70.0 at epoch 2' in verdict_of(read(tmp_path / 'a'))[0][0]
    write_session(
        tmp_path / 'flat', NAME, [dict(one, **{'accuracy/top1': 0.0}) if 'lr' not in one else one for one in lines]
    )
    assert verdict_of(read(tmp_path / 'flat'))[0][0] == 'Top-1 0.0 (epoch 4); it was 0.0 at epoch 1.'
    write_session(tmp_path / 'b', NAME, lines)
    text, is_warning = verdict_of(read(tmp_path / 'b'))[0]
    assert text == 'top-1 is no number at epoch 4: the training went wrong.' and is_warning


def test_a_pretraining_is_judged_by_its_held_out_loss(tmp_path):
    loss = 'reconstruction/masked_loss'
    lines = [line(10), {loss: 0.9, 'step': 1}, line(20, float('nan')), {loss: 0.8, 'learning/seconds': 1.0, 'step': 2}]
    folder = write_session(tmp_path, NAME, lines, PRETRAINING)
    (folder / 'vis_data' / 'advice.json').write_text(json.dumps([dict(text='features collapse', is_warning=True)]))
    texts = verdict_of(run := read(tmp_path))
    assert texts[0] == ('Held-out loss 0.8000 (epoch 2); it was 0.9000 at epoch 1.', False)
    assert '1 is the loss of a model that paints every hidden patch in its mean colour' in texts[1][0]
    assert texts[2] == ('Advice in the log: features collapse.', True)
    assert texts[3] == ('1 of 2 lines have a training loss that is no number.', True)
    assert [row[0] for row in results_table(run).rows] == [loss]
    assert (run.metrics[0].best({1: 0.9, 2: 0.8, 3: float('nan')}), run.metrics[0].falls) == (2, True)


def test_iterations_count_forward_passes(tmp_path):
    config = dict(CLASSIFIER, train_cfg=dict(type='IterBasedTrainLoop', max_iters=20))
    lines = [dict(lr=1.0, loss=1.0, iter=i, step=i) for i in (10, 20)] + [{'accuracy/top1': 1.0, 'step': 20}]
    write_session(tmp_path, NAME, lines, config, RECORD)  # two forward passes for a step
    run = read(tmp_path)
    assert (run.unit, run.length, run.reached, run.place(10)) == ('iteration', 40, 20, 10)


def test_what_is_published_is_marked_as_quoted(tmp_path):
    record = dict(RECORD, config='mae_transfer::in1k_finetune_vitb.py', end='completed')
    write_session(tmp_path, NAME, [line(5), {'accuracy/top1': 1.0, 'step': 1}], record=record)
    text = published_line(read(tmp_path))
    assert text.startswith('Published for in1k_finetune_vitb.py, not measured here: 83.6 top-1')
    assert 'This run differs from that config in' in text


def test_a_test_in_the_folder_of_its_run_is_no_session_of_it(tmp_path):
    write_classifier(tmp_path, 40.0)
    folder = write_session(tmp_path, '20260131_130000', [], dict(CLASSIFIER, arch='16x2x2'))
    (folder / '20260131_130000.json').write_text('{"accuracy/top1": 41.0}')
    facts = dict(facts_of(run := read(tmp_path)))
    assert (facts['ViT'], facts['length'][:8], facts['time']) == ('32x4x2', '2 epochs', '0:01:30, by the log')
    assert verdict_of(run)[0][0].startswith('Top-1 41.0 (test)') and results_table(run).columns[-1] == 'test'


def test_a_test_alone(tmp_path):
    folder = write_session(tmp_path, '20260131_130000', [])
    (folder / '20260131_130000.json').write_text('{"accuracy/top1": 41.0}')
    run = read(tmp_path)
    assert state(run) == 'a test' and run.result(run.metrics[0]) == (41.0, 'test') and run.task == 'classify'


def test_names_tell_runs_apart(tmp_path):
    a, b = tmp_path / 'x' / 'run', tmp_path / 'y' / 'run'
    found = [FoundRun(a), FoundRun(b), FoundRun(tmp_path / 'z'), FoundRun(a, a / 'epoch_1.pth')]
    assert names_of(found) == ['x/run', 'y/run', 'z', 'x/run, epoch_1.pth']
