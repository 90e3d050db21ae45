"""tools/compare_starts.py: every run once, the same schedule for all starts, and a table with paired differences."""

from __future__ import annotations

import json
import re

import pytest
import torch

from mae_transfer.experiments.start_comparison import NamedStart, StartRun, comparison_table, parse_start
from mae_transfer.vit import ViT
from tests.tools.commands import REPOSITORY, call, error_line
from tests.tools.in_process import start_tools_here


@pytest.fixture(scope='module')
def weights(tmp_path_factory):
    """A file of a plain ViT and one of BEiT's design."""
    folder = tmp_path_factory.mktemp('weights')
    for name, settings in dict(plain={}, beit=dict(design='beit', rel_pos='table')).items():
        torch.save(ViT('16x2x2', img_size=32, patch_size=8, **settings).state_dict(), folder / f'{name}.pth')
    return folder


@pytest.fixture(scope='module')
def config(tmp_path_factory, class_photos):
    path = tmp_path_factory.mktemp('configs') / 'tiny.py'
    path.write_text(
        f"_base_ = ['{REPOSITORY}/configs/small/finetune_tin20.py']\ndata_root = '{class_photos}'\narch = '16x2x2'\n"
        'image_size, max_epochs, warmup, total_batch_size = 32, 1, 0.5, 4\nmodel = dict(num_classes=3)\n'
        'loader = dict(num_workers=0, batch_size=4)\ntrain_dataloader, val_dataloader = loader, loader\n'
    )
    return path


def test_the_same_schedule_from_every_start_once(config, weights, tmp_path, monkeypatch):
    started = start_tools_here(monkeypatch)
    starts = [f'mae={weights}/plain.pth', f'beit={weights}/beit.pth', 'none']
    arguments = ('--starts', *starts, '--tasks', 'classify', '--seeds', 0, 1, '--configs', f'classify={config}')
    arguments += ('--work-dir', tmp_path / 'work', '--cfg-options', 'classify:warmup=0.25', 'detect:max_epochs=7')
    ended = call('compare_starts', *arguments)
    assert ended.code == 0, ended.err + ended.out
    assert len(started.commands) == 6 and all('warmup=0.25' in command for command in started.commands)
    assert not any('max_epochs=7' in command for command in started.commands)
    assert [[word for word in command if word.startswith('init=')] for command in started.commands[:3]] == [
        ['init=mae'],
        ['init=beit'],
        [],
    ]
    rows = (tmp_path / 'work' / 'table.md').read_text().splitlines()
    assert rows[0] == '| start | top-1 | minus mae |' and [row.split(' | ')[0] for row in rows[2:]] == [
        '| mae',
        '| beit',
        '| random',
    ]
    value = r'\*\*[\d.]+\*\* ± [\d.]+ \([\d.]+, [\d.]+\)'
    assert re.fullmatch(rf'\| beit \| {value} \| [+-][\d.]+ ± [\d.]+ \|', rows[3])
    again = call('compare_starts', *arguments)
    assert again.code == 0 and len(started.commands) == 6 and again.out.strip() == '\n'.join(rows)
    other = call('compare_starts', *(str(word).replace('warmup=0.25', 'warmup=0.5') for word in arguments))
    assert "is of a run with another 'warmup=0.5': choose another --work-dir" in error_line(other)


def test_an_interrupted_run_goes_on(config, weights, tmp_path, monkeypatch):
    started = start_tools_here(monkeypatch)
    arguments = ('--starts', f'mae={weights}/plain.pth', '--tasks', 'classify', '--seeds', 3, '--configs')
    arguments += (f'classify={config}', '--work-dir', tmp_path / 'work', '--cfg-options', 'max_epochs=2')
    started.interrupted = 'mae'
    assert call('compare_starts', *arguments).code == 2
    started.interrupted = None
    assert call('compare_starts', *arguments).code == 0
    assert '--resume' not in started.commands[0] and '--resume' in started.commands[1]


def test_the_table_of_means_deviations_and_paired_differences(tmp_path):
    starts = [NamedStart('mae', None, 'a'), NamedStart('none', None, 'none')]
    for row, values in zip(starts, [(0.5, 0.25, 0.6), (0.25, 0.125, None)]):
        for seed, value in enumerate(values):
            folder = StartRun('detect', row, seed).folder(tmp_path)
            (folder / '1/vis_data').mkdir(parents=True)
            numbers = {'coco/bbox_mAP': 0.0}, {'coco/bbox_mAP': value, 'coco/segm_mAP': 0.1}
            (folder / '1/vis_data/scalars.json').write_text('\n'.join(map(json.dumps, numbers)))
            if value is not None:
                (folder / 'done').touch()
    rows = comparison_table(starts, ['detect'], [0, 1, 2], tmp_path).splitlines()
    assert rows[0] == '| start | box AP | minus mae | mask AP | minus mae |'
    assert rows[2].startswith('| mae | **45.0** ± 18.0 (50.0, 25.0, 60.0) |  | **10.0** ± 0.0 ')
    # Paired by seed: 25 - 50 and 12.5 - 25; the third seed is not there for both.
    assert rows[3].startswith('| none | **18.8** ± 8.8 (25.0, 12.5) | -18.8 ± 6.2 | ')


@pytest.mark.parametrize(
    'text, words',
    [
        ('mae', "--starts 'mae': give NAME=WEIGHTS, NAME:INIT=WEIGHTS or none"),
        ('mae=nowhere.pth', "no checkpoint file or work_dir 'nowhere.pth'"),
        ('mine:dino=none', "unknown init 'dino'"),
    ],
)
def test_starts_that_are_refused(text, words, tmp_path):
    assert words in error_line(call('compare_starts', '--starts', text, '--work-dir', tmp_path / 'work'))


def test_a_name_says_what_the_weights_are():
    assert parse_start('beit_vitb16=none').init == 'beit_vitb16' and parse_start('supervised=none').init is None
    assert parse_start('mine:mocov3=none') == NamedStart('mine', 'mocov3', 'none')
