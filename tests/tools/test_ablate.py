"""tools/ablate.py: an interrupted ablation is continued, and impossible options are reported at once."""

from __future__ import annotations

import csv
import json

import pytest

from mae_transfer.experiments.tool_runs import TOOLS
from tests.tools.commands import REPOSITORY, call, error_line
from tests.tools.in_process import start_tools_here

SCALE = REPOSITORY / 'configs' / 'small' / 'mae_pretrain_tin20.py'
TINY = (
    *('--arch', '16x1x2', '--img-size', 32, '--patch-size', 8, '--batch', 8),
    *(
        '--protocols',
        'knn',
        '--protocol-options',
        'test_cfg.ks=(20,)',
        '--cfg-options',
        'train_dataloader.num_workers=0',
    ),
    *('val_dataloader.batch_size=7', 'default_hooks.checkpoint.interval=1'),
)


@pytest.fixture
def in_process(monkeypatch):
    return start_tools_here(monkeypatch)


@pytest.mark.slow
def test_an_interrupted_ablation_is_continued(class_photos, in_process, tmp_path):
    arguments = ('table1c', '--data', class_photos, '--work-dir', tmp_path, '--epochs', 2, *TINY)
    masked, plain = 'table1c_encoder_with_mask_tokens', 'table1c_encoder_without_mask_tokens'
    in_process.interrupted = masked
    first = call('ablate', *arguments)
    assert first.code == 2
    assert f'error: 1 of 2 runs failed: {masked}, seed 0 ended with exit code 1: ' in first.err, first.out + first.err
    assert f'({tmp_path / masked / "seed0" / "log.txt"})' in first.err
    assert in_process.runs == [
        ('train', f'{masked}/seed0'),
        ('train', f'{plain}/seed0'),
        ('test', f'{plain}/seed0_k-NN_seed0'),
    ]

    in_process.interrupted, in_process.runs = None, []
    second = call('ablate', *arguments)
    assert second.code == 0, second.err + (tmp_path / masked / 'seed0' / 'log.txt').read_text()[-2000:]
    assert in_process.runs == [('train', f'{masked}/seed0'), ('test', f'{masked}/seed0_k-NN_seed0')]
    epochs = [
        [json.loads(line)['epoch'] for line in file.read_text().splitlines() if '"epoch"' in line]
        for file in sorted((tmp_path / masked / 'seed0').glob('*/vis_data/scalars.json'))
    ]
    assert [set(own) for own in epochs] in ([{1}, {2}], [{1, 2}])  # two starts within a second share a folder
    assert sum(own.count(1) for own in epochs) == 1

    in_process.runs = []
    third = call('ablate', 'table1a_decoder_depth_8', 'table1c', *arguments[1:])
    assert not in_process.runs and third.code == 0  # depth 8 is the baseline
    table = (tmp_path / 'table.md').read_text()
    assert third.out.strip().endswith(table.strip()) and table.count('| **in the decoder** | 84.9 | 73.5 | **') == 1
    assert table.startswith(f'ViT 16x1x2, 32 px, patches of 8, 2 epochs, batch 8, {class_photos.name}\n')
    with open(tmp_path / 'table.csv', newline='') as file:
        lines = list(csv.DictReader(file))
    assert [line['config'] for line in lines] == ['table1a_decoder_depth_8', masked, plain]
    assert lines[0]['knn'] == lines[2]['knn'] and all(
        0 <= float(line['knn']) <= 100 and float(line['seconds']) > 0 for line in lines
    )
    assert float(lines[1]['flops_ratio']) > 1 == float(lines[2]['flops_ratio'])
    assert {file.name for file in tmp_path.glob('*.png')} == {'table1a.png', 'table1c.png'}

    line = error_line(call('ablate', *arguments, 'base_lr=.5'))
    assert (
        f'{tmp_path / masked} was run with other settings (base_lr was 0.003 and is 0.5): choose another --work-dir'
        in line
    )


def test_a_row_of_tokens_trains_its_tokenizer_first(class_photos, in_process, tmp_path):
    row, tiny = 'table1d_target_dvae_token', ('max_epochs=1', 'warmup=.5', 'total_batch_size=8')
    model = ('model.width=8', 'model.vocab_size=16', 'model.code_dim=8')
    loaders = ('train_dataloader.batch_size=8', 'train_dataloader.num_workers=0', 'val_dataloader.batch_size=7')
    ended = call(
        'ablate',
        row,
        *('--data', class_photos, '--work-dir', tmp_path, '--epochs', 1, *TINY),
        *('--tokenizer-options', *tiny, *model, *loaders),
    )
    assert ended.code == 0, ended.out + ended.err
    assert in_process.runs == [
        ('train', f'{tmp_path.name}/tokenizer'),
        ('train', f'{row}/seed0'),
        ('test', f'{row}/seed0_k-NN_seed0'),
    ]
    assert f'loaded from {tmp_path}/tokenizer/epoch_1.pth' in (tmp_path / row / 'seed0' / 'log.txt').read_text()


def test_old_names_of_options_still_work(in_process, tmp_path):
    options = ('--readings', 'finetune', '--readings-options', 'max_epochs=1', '--readings-configs', 'no/{}.py')
    line = error_line(call('ablate', 'table1c', '--work-dir', tmp_path, *options))
    assert '--protocol-configs no/{}.py: config no/finetune.py does not exist' in line


@pytest.mark.parametrize(
    'arguments, words',
    [
        (
            ['table9'],
            "no row 'table9': give a config file, a pattern, or the beginning of a name in configs/ablations: fig5, "
            'fig7, table1a',
        ),
        ([SCALE], "has no published['table']: the config of a row says which row it is"),
        (['table1c', '--arch', '16x1'], "unknown arch '16x1': choose one of"),
        (['table1c', '--arch', '16x1x3'], 'embed_dim must be a multiple of num_heads'),
        (['table1c', '--img-size', '60'], 'size 60 is not divisible by patch_size 8'),
        (['table1c', '--data', 'nowhere'], '--data: the folder nowhere does not exist'),
        (['table1c', '--epochs', '0'], 'must be above 0'),
        (['table1c', '--scale', 'nowhere.py'], '--scale: config nowhere.py does not exist'),
        (
            ['table1c', '--protocol-configs', 'configs/{}_no.py'],
            '--protocol-configs configs/{}_no.py: config configs/knn_no.py does not exist',
        ),
        (['table1c', '--cfg-options', 'model.vit.arc=4'], "model.vit.arc: ViT has no setting 'arc'"),
    ],
)
def test_impossible_options_are_reported_in_one_line(arguments, words, in_process, tmp_path):
    assert words in error_line(call('ablate', *arguments, '--work-dir', tmp_path))
    assert not in_process.runs and not list(tmp_path.iterdir())


def test_a_work_dir_that_is_a_file_is_reported_in_one_line(in_process, tmp_path):
    (tmp_path / 'file').touch()
    for words in (['--work-dir', tmp_path / 'file'], ['--work-dir', tmp_path, '--tokenizer', tmp_path / 'file']):
        line = error_line(call('ablate', 'table1c', *words))
        assert line.startswith(f'error: {words[-2]}: the folder') and line.endswith("file' is a file")


def test_the_packages_own_configs_are_found_from_any_folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    ended = call('ablate', 'table1c', '--work-dir', 'ablation', '--table-only')
    assert ended.code == 0, ended.err
    assert (tmp_path / 'ablation' / 'table.md').is_file() and (TOOLS / 'ablate.py').is_file()
