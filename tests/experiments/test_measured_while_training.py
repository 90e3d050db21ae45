"""Measured values beside fine-tuned accuracies: the table, and a run of it at the smallest size."""

from __future__ import annotations

import json
import sys
from unittest import mock

import pytest
import torch

from mae_transfer.errors import UserError
from mae_transfer.experiments import measured_while_training as tool
from tests.helpers import forget_instances, save_photo

LOSS, RANK = 'reconstruction/masked_loss', 'learning/rank_me'
SIZES = [
    'image_size=32',
    'arch=16x1x2',
    'model.vit.patch_size=8',
    'total_batch_size=2',
    'train_dataloader.batch_size=2',
]
SIZES += ['train_dataloader.num_workers=0', 'warmup=.5', 'max_epochs=2']


def test_the_table_has_a_row_for_each_epoch_and_the_rank_correlations():
    rows = {epoch: {LOSS: 1 / epoch, RANK: [5, 1, 3][epoch - 1]} for epoch in (1, 2, 3)}
    lines = tool.table(rows, {0: 10.0, 1: 20.0, 2: 30.0, 3: 40.0}).splitlines()
    assert lines[0] == '| epoch | masked loss | RankMe | fine-tuned |'
    assert lines[2:4] == ['| 0 |  |  | 10.0 |', '| 1 | 1 | 5 | 20.0 |']
    assert lines[-1].startswith('| Spearman | 1.00 (n=3, ') and ' | -0.50 (n=3, ' in lines[-1]


def test_a_correlation_turns_the_sign_where_less_is_better_and_needs_three():
    rows = {epoch: {LOSS: float(epoch)} for epoch in range(1, 5)}
    assert tool.correlation(rows, {1: 4, 2: 3, 3: 2, 4: 1}, LOSS, False).startswith('1.00 (n=4')
    assert tool.correlation(rows, {1: 4, 2: 3, 3: 2, 4: 1}, LOSS, True).startswith('-1.00 (n=4')
    assert tool.correlation(rows, {1: 4, 2: 3}, LOSS, True) == ''


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp('data')
    for split in ('train', 'val'):
        for number in range(24):
            save_photo(folder / split / 'ab'[number % 2] / f'{number}.png', number)
    return folder


def call(data, work_dir, *options: str) -> None:
    torch.manual_seed(0)
    decoder = ['model.decoder.embed_dim=16', 'model.decoder.depth=1', 'model.decoder.num_heads=2']
    arguments = [str(data), '--work-dir', str(work_dir), '--pretrain-options', *SIZES, *decoder]
    arguments += ['--finetune-options', *SIZES, 'model.num_classes=2', 'val_evaluator.topk=(1,)', *options]
    forget_instances()
    with mock.patch.object(sys, 'argv', ['tool', *arguments]):
        tool.main()


def test_one_pretraining_is_measured_and_its_checkpoints_are_fine_tuned(data, tmp_path):
    call(data, tmp_path, '--epochs', '0', '1', '2')
    table = (tmp_path / 'table.md').read_text().splitlines()
    assert table[0] == '| epoch | masked loss | RankMe | k-NN | linear | fine-tuned |'
    assert [row.split('|')[1].strip() for row in table[2:]] == ['0', '1', '2', 'Spearman']
    [scalars] = (tmp_path / 'pretrain').glob('*/vis_data/scalars.json')
    lines = [json.loads(line) for line in scalars.read_text().splitlines() if RANK in line]
    assert table[3].split(' | ')[1:3] == [f'{lines[1][name]:.4g}' for name in (LOSS, RANK)]
    assert (tmp_path / 'measured' / 'epoch_2.json').exists()  # made after the last checkpoint
    assert table[4].split(' | ')[1:3] == [f'{lines[2][name]:.4g}' for name in (LOSS, RANK)]
    with mock.patch.object(tool, 'train') as again:
        call(data, tmp_path, '--epochs', '0', '1', '2')
    assert not again.called and (tmp_path / 'table.md').read_text().splitlines() == table


def test_an_epoch_beyond_the_pretraining_is_refused(data, tmp_path):
    with pytest.raises(UserError, match='--epochs: 3 is beyond the 2 of the pre-training'):
        call(data, tmp_path, '--epochs', '3')
