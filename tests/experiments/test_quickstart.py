"""The quickstart: its commands, and the table of their results."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from mae_transfer.experiments.quickstart import newest_metrics, report, stages
from mae_transfer.experiments.tool_runs import TOOLS
from mae_transfer.settings import read_config


@pytest.fixture
def in_checkout(monkeypatch):
    monkeypatch.chdir(TOOLS.parent)


def test_commands_are_shown_as_a_user_would_type_them(in_checkout):
    shown = [[str(step) for step in stage.steps] for stage in stages(Path('w'), 7, False)]
    assert [len(commands) for commands in shown] == [1, 2, 4, 4]
    assert shown[0] == ['tools/python -m mae_transfer.data.scenes w/scenes']
    assert shown[1] == [
        'tools/train.py configs/quickstart/mae_pretrain.py --work-dir w/mae --cfg-options data_root=w/scenes/photos '
        'randomness.seed=7',
        'tools/test.py configs/quickstart/mae_pretrain.py w/mae --work-dir w/mae_test --cfg-options '
        'data_root=w/scenes/photos',
    ]
    assert shown[3][2:] == [
        'tools/train.py configs/quickstart/upernet.py --work-dir w/upernet_mae --cfg-options data_root=w/scenes/ade '
        'pretrained=configs/quickstart/vit_scenes.safetensors randomness.seed=7',
        'tools/test.py configs/quickstart/upernet.py w/upernet_mae --work-dir w/upernet_mae_test --cfg-options '
        'data_root=w/scenes/ade test_evaluator.output_dir=w/upernet_mae/predictions',
    ]


@pytest.mark.parametrize('only_here', [False, True])
def test_every_command_has_its_files_and_settings(only_here, in_checkout, tmp_path):
    weights = set()
    for stage in stages(tmp_path, 0, only_here)[1:]:
        for step in stage.steps:
            tool, config, *arguments = step.command
            assert Path(tool).is_file()
            cfg = read_config(config, arguments[arguments.index('--cfg-options') + 1 :])
            weights.add(cfg.get('pretrained', 'none'))
            if step.epochs > 1:
                assert cfg.train_cfg.max_epochs == step.epochs
    files = {Path(name) for name in weights - {'none'}}
    assert (tmp_path / 'mae' in files) == only_here and all(file.is_file() for file in files - {tmp_path / 'mae'})


def test_commands_work_from_another_folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for stage in stages(Path('w'), 0, False)[1:]:
        assert all(Path(part).is_absolute() for step in stage.steps for part in step.command[:2] if part[:1] != 'w')


@pytest.fixture
def measured(tmp_path):
    """A work_dir with the metrics that the quickstart leaves, next to those of older runs."""
    found = {
        'maskrcnn_random_test': {'coco/bbox_mAP': 0.125, 'coco/segm_mAP': 0.25},
        'maskrcnn_mae_test': {'coco/bbox_mAP': 0.5, 'coco/segm_mAP': 0.375},
        'upernet_random_test': {'mIoU': 31.25},
        'upernet_mae_test': {'mIoU': 42.5},
        'mae_test': {'reconstruction/masked_loss': 0.625},
    }
    for name, metrics in found.items():
        for i, content in enumerate(({key: 0.0 for key in metrics}, metrics)):  # the newer one counts
            file = tmp_path / name / f'run{i}' / f'run{i}.json'
            file.parent.mkdir(parents=True)
            file.write_text(json.dumps(content))
            os.utime(file, (1000 + i, 1000 + i))
    return tmp_path


def test_the_table_has_the_metrics_of_the_tests(measured):
    steps = [step for stage in stages(measured, 7, True) for step in stage.steps]
    for step in steps:
        step.took = 90.0
    table = report(measured, steps, 7, True, 11.0)
    assert '| random | 12.5 | 25.0 | 31.2 | 3.0 |' in table
    assert '| MAE | 50.0 | 37.5 | 42.5 | 3.0 |' in table
    assert '0.6250' in table and 'from the 1.5 minutes of pre-training in this run' in table and 'Seed 7' in table
    assert 'whole quickstart: 11.0 minutes.' in table
    assert 'configs/quickstart/vit_scenes.safetensors' in report(measured, steps, 7, False, 11.0)


def test_missing_metrics_are_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match='no metrics below'):
        newest_metrics(tmp_path)
