"""tools/plan.py: its table, its recommendation, its command line, and what it refuses."""

from __future__ import annotations

import json
import shlex

import pytest

from mae_transfer.planning.training_plan import Split, command, days, missing, recommended, steps_of
from mae_transfer.settings import read_config
from tests.tools.commands import REPOSITORY, call, error_line

PRETRAINING = REPOSITORY / 'configs' / 'mae_pretrain_vitb.py'
SMALL = ['arch=48x2x2', 'image_size=64', 'model.decoder.embed_dim=32', 'model.decoder.depth=1', 'total_batch_size=64']


def test_a_plan(tmp_path):
    arguments = ['--gpus', 2, '--gpu-memory', 0.05, '--images', 1000, '--tflops', 1, '--share', 0.5]
    ended = call('plan', PRETRAINING, *arguments, '--cfg-options', *SMALL, '--json', tmp_path / 'plan.json')
    assert ended.code == 0, ended.err
    plan = json.loads((tmp_path / 'plan.json').read_text())
    assert [split['batch'] for split in plan['splits']] == [1, 2, 4, 8, 16, 32] * 2
    assert all(split['batch'] * split['accumulation'] * 2 == 64 for split in plan['splits'])
    rows = [row for row in ended.out.splitlines() if row.startswith('| ') and 'images' not in row]
    for row, split in zip(rows, plan['splits'], strict=True):
        assert f'| {split["peak"] / 1e9:.2f} |' in row
        assert (('yes |' in row.split('|', 4)[4]) or 'recommended' in row) == (split['peak'] <= 0.9 * 0.05e9)
    best = plan['recommended']
    assert sum('recommended' in row for row in rows) == 1
    assert plan['steps'] == 1600 * 1000 // 64
    assert plan['images_per_second'] == pytest.approx(2 * 0.5 * 1e12 / plan['flops_of_image'])
    assert 'assuming 50% of 1 TFLOP/s on each GPU; not measured' in ended.out
    words = shlex.split(ended.out.splitlines()[-1])
    assert words[:3] == ['tools/dist_train.sh', str(PRETRAINING), '2'] and words[3] == '--cfg-options'
    cfg = read_config(PRETRAINING, words[4:])
    assert cfg.train_dataloader.batch_size == best['batch'] and cfg.total_batch_size == 64


def test_what_is_missing_where_nothing_fits():
    ended = call('plan', PRETRAINING, '--gpus', 1, '--gpu-memory', 0.001, '--cfg-options', *SMALL)
    assert ended.code == 0, ended.err
    assert 'nothing fits: even ' in ended.out and 'GB more than may be used' in ended.out.splitlines()[-1]


def splits(*peaks: tuple[int, bool, int]) -> list[Split]:
    return [Split(batch, 1, checkpointing, peak) for batch, checkpointing, peak in peaks]


def test_the_largest_without_checkpointing_is_recommended():
    found = splits((1, False, 5), (2, False, 8), (1, True, 3), (2, True, 4), (4, True, 7))
    assert recommended(found, 8) == found[1] and recommended(found, 7) == found[0]
    assert recommended(found, 4) == found[3] and recommended(found, 2) is None
    assert 'even 1 image a GPU' in missing(found, 2)


def test_steps_and_days():
    cfg = read_config(PRETRAINING)
    assert steps_of(cfg, 1281167) == 1281167 * 1600 // 4096 and steps_of(cfg, None) is None
    assert steps_of(read_config(REPOSITORY / 'configs' / 'ade20k_upernet_vitb.py'), None) == 160000
    assert days(864, 100, 1) == 1


def test_the_command_line_names_the_setting_of_checkpointing():
    cfg = read_config(REPOSITORY / 'configs' / 'ade20k_upernet_vitb.py')
    line = command('configs/a b.py', ["classes=dog,'traffic light'"], 1, cfg, Split(2, 8, True, 0))
    assert shlex.split(line) == [
        *('tools/train.py', 'configs/a b.py', '--cfg-options', "classes=dog,'traffic light'"),
        *('train_dataloader.batch_size=2', 'model.backbone.grad_checkpoint=True'),
    ]


@pytest.mark.parametrize(
    'arguments, words',
    [
        ([PRETRAINING, '--gpus', 0, '--gpu-memory', 24], '--gpus is 1 or more; found 0'),
        ([PRETRAINING, '--gpus', 1, '--gpu-memory', -2], '--gpu-memory is above 0; found -2'),
        ([PRETRAINING, '--gpus', 1, '--gpu-memory', 24, '--margin', 1], '--margin is a share from 0 to below 1'),
        ([PRETRAINING, '--gpus', 3, '--gpu-memory', 24], 'choose a total_batch_size that is a multiple of 3'),
        (['configs/none.py', '--gpus', 1, '--gpu-memory', 24], 'config configs/none.py does not exist'),
        ([REPOSITORY / 'configs' / 'in1k_knn_vitb.py', '--gpus', 1, '--gpu-memory', 9], 'does not train'),
    ],
)
def test_what_is_refused(arguments, words):
    ended = call('plan', *arguments)
    assert ended.code == 2 and words in error_line(ended)
