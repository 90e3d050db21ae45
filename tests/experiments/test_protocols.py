"""Evaluation protocols: the commands that are run, and the accuracy that is read from their output."""

from __future__ import annotations

import json

import pytest

from mae_transfer.errors import UserError
from mae_transfer.experiments import protocols
from mae_transfer.experiments.protocols import EvaluationRun, check_protocols, protocol_title, table_cell


@pytest.fixture
def commands(monkeypatch):
    """The commands that would be run; none is run."""
    found = []

    def run_once(folder, tool, arguments, name):
        found.append((tool, list(arguments), name))
        return False

    monkeypatch.setattr(protocols, 'run_once', run_once)
    return found


@pytest.mark.parametrize(
    'protocol, tool, config, more',
    [
        ('knn', 'test', 'c/knn.py', []),
        ('fastprobe', 'test', 'c/fastprobe.py', ['test_cfg.seed=3']),
        ('.5', 'train', 'c/finetune.py', ['pretrained=w/mae', 'model.tuned_blocks=.5']),
        ('finetune', 'train', 'c/finetune.py', ['pretrained=w/mae', 'model.tuned_blocks=None']),
    ],
)
def test_a_protocol_runs_the_command_that_a_user_would_type(protocol, tool, config, more, commands, tmp_path):
    run = EvaluationRun('w/mae', protocol, 3)
    run.run(tmp_path, 'c/{}.py', ['data_root=photos'], 'a row')
    (found, arguments, name), folder = commands[0], run.folder(tmp_path)
    options = ['--work-dir', str(folder), '--cfg-options', 'randomness.seed=3', 'data_root=photos', *more]
    assert (found, arguments) == (tool, [config, *(['w/mae'] if tool == 'test' else []), *options])
    assert name == f'a row, {folder.name}'


def test_folders_are_named_by_weights_protocol_and_seed(tmp_path):
    names = [
        EvaluationRun(weights, protocol, 1).folder(tmp_path).name
        for weights, protocol in (('none', 'knn'), ('x/mae', '.5'), ('x/vit.pth', 'finetune'))
    ]
    assert names == ['none_k-NN_seed1', 'mae_tuned_.5_seed1', 'vit_fine-tune_seed1']


@pytest.mark.parametrize(
    'protocol, file, metric',
    [
        ('knn', '{0}/{0}.json', 'knn/top1_k20'),
        ('fastprobe', '{0}/{0}.json', 'probe/top1'),
        ('1', '{0}/vis_data/scalars.json', 'accuracy/top1'),
    ],
)
def test_the_last_accuracy_of_the_last_start_counts(protocol, file, metric, tmp_path):
    run = EvaluationRun('none', protocol, 0)
    for start, values in (('20250101_000000', (90.0,)), ('20250102_000000', (10.0, 20.0))):
        path = run.folder(tmp_path) / file.format(start)
        path.parent.mkdir(parents=True)
        path.write_text('\n'.join(json.dumps({metric: value, 'step': 1}) for value in values) + '\n{"loss": 1.0}\n')
    assert run.top1(tmp_path) is None
    (run.folder(tmp_path) / 'done').touch()
    assert run.top1(tmp_path) == 20.0


def test_a_run_without_the_metric_of_the_tables_is_reported(tmp_path):
    run = EvaluationRun('none', 'knn', 0)
    file = run.folder(tmp_path) / 'start' / 'start.json'
    file.parent.mkdir(parents=True)
    file.write_text('{"knn/top1_k5": 10.0}')
    (run.folder(tmp_path) / 'done').touch()
    with pytest.raises(UserError, match="start.json has no 'knn/top1_k20', which the table shows"):
        run.top1(tmp_path)


def test_unknown_protocols_are_refused():
    check_protocols(['knn', '0', '.5', '12', 'finetune'], 'mae_transfer::small/{}_tin20.py', '--configs')
    with pytest.raises(UserError, match="unknown protocol 'linear': choose knn, fastprobe, finetune or a number"):
        check_protocols(['knn', 'linear'], 'mae_transfer::small/{}_tin20.py', '--configs')


def test_missing_configs_are_refused():
    with pytest.raises(UserError, match='--configs no/{}.py: config no/finetune.py does not exist'):
        check_protocols(['2'], 'no/{}.py', '--configs')


def test_headings_and_cells_of_tables():
    assert [protocol_title(name) for name in ('knn', 'fastprobe', '2', 'finetune')] == [
        'k-NN',
        'linear',
        'tuned 2',
        'fine-tune',
    ]
    assert table_cell([20.0, 22.0]) == '**21.0** (20.0, 22.0)' and table_cell([]) == ''
