"""tools/ablate.py: rows found and scaled, results written, a set of runs that was cut off gone on with."""

from __future__ import annotations

import csv
import importlib
import json

import pytest
from mmengine.config import Config
from PIL import Image

from tests.tools.commands import REPOSITORY, call, error_line
from tests.tools.in_process import start_tools_here
from tests.tools.test_classification import data  # noqa: F401

ABLATIONS = REPOSITORY / 'configs' / 'ablations'
SCALE = REPOSITORY / 'configs' / 'small' / 'mae_pretrain_tin20.py'
TINY = (
    '--arch',
    '16x1x2',
    '--img-size',
    32,
    '--patch-size',
    8,
    '--batch',
    8,
    '--readings',
    'knn',
    '--readings-options',
    'test_cfg.ks=(20,)',
    '--cfg-options',
    'train_dataloader.num_workers=0',
    'train_dataloader.persistent_workers=False',
    'val_dataloader.batch_size=7',
    'default_hooks.checkpoint.interval=1',
)


@pytest.fixture(autouse=True)
def tools_folder(monkeypatch):
    """In front of the search path, as it is for a script that lies there."""
    monkeypatch.syspath_prepend(str(REPOSITORY / 'tools'))


@pytest.fixture
def rows():
    return importlib.import_module('ablation_rows')


@pytest.fixture
def results():
    return importlib.import_module('ablation_results')


@pytest.mark.parametrize(
    'names, stems',
    [
        (['table1a'], [f'table1a_decoder_depth_{depth}' for depth in (1, 2, 4, 8, 12)]),
        (
            ['table1c', 'table1c_encoder_with'],
            ['table1c_encoder_with_mask_tokens', 'table1c_encoder_without_mask_tokens'],
        ),
        (
            [str(ABLATIONS / 'fig5_mask_ratio_[67]*.py')],
            ['fig5_mask_ratio_60', 'fig5_mask_ratio_70', 'fig5_mask_ratio_75'],
        ),
        (
            [str(ABLATIONS / 'fig5_mask_ratio_90.py'), 'table2_vith_decoder_1'],
            ['fig5_mask_ratio_90', 'table2_vith_decoder_1'],
        ),
    ],
)
def test_rows_are_found(names, stems, rows):
    assert [path.stem for path in rows.find_rows(names)] == stems


def test_the_whole_of_table_1_is_24_rows(rows):
    assert len(rows.find_rows(['table1'])) == 24


@pytest.mark.parametrize(
    'embed_dim, width, expected',
    [
        (128, 512, (64, 2)),
        (128, 128, (16, 1)),
        (128, 256, (32, 1)),
        (128, 768, (96, 3)),
        (128, 1024, (128, 4)),
        (1024, 512, (512, 16)),
        (192, 768, (144, 4)),
        (16, 128, (4, 1)),
        (400, 256, (100, 2)),
    ],
)
def test_the_decoder_is_scaled_by_the_vits_width(embed_dim, width, expected, rows):
    scaled = rows.scale_decoder(width, rows.Size(embed_dim, 1, 1))
    assert (scaled['embed_dim'], scaled['num_heads']) == expected


@pytest.fixture
def scale(rows):
    return rows.make_scale(Config.fromfile(SCALE), data='photos')


def scaled(rows, scale, name: str) -> Config:
    return rows.scale_row(
        Config.fromfile(ABLATIONS / f'{name}.py'), scale, dict(type='DVAE', vocab_size=64, checkpoint='here')
    )


@pytest.mark.parametrize(
    'name, model, dataset',
    [
        ('table1a_decoder_depth_12', dict(decoder=dict(type='MAEDecoder', depth=12, embed_dim=64, num_heads=2)), {}),
        ('table1b_decoder_width_1024', dict(decoder=dict(type='MAEDecoder', depth=8, embed_dim=128, num_heads=4)), {}),
        ('table1c_encoder_with_mask_tokens', dict(encoder_mask_tokens=True, target=dict(type='PixelTarget')), {}),
        ('table1d_target_normalized_pixel', dict(target=dict(type='NormalizedPixelTarget')), {}),
        ('table1d_target_pca', dict(target=dict(type='PCATarget', components=24)), {}),  # 96 of 768 are 24 of 192
        (
            'table1d_target_dvae_token',
            dict(target=dict(type='TokenTarget', tokenizer=dict(type='DVAE', vocab_size=64, checkpoint='here'))),
            {},
        ),
        ('table1e_augmentation_none', dict(masking=dict(type='RandomMasking', ratio=0.75)), dict(augment='none')),
        ('table1e_augmentation_color_jitter', {}, dict(color_jitter=(0.4, 0.4, 0.2, 0.1))),
        ('table1f_masking_block_50', dict(masking=dict(type='BlockMasking', ratio=0.5)), {}),
        ('fig5_mask_ratio_10', dict(masking=dict(type='RandomMasking', ratio=0.1)), {}),
        ('table2_vith_decoder_1', dict(decoder=dict(type='MAEDecoder', depth=1, embed_dim=64, num_heads=2)), {}),
    ],
)
def test_a_row_keeps_what_it_varies(name, model, dataset, rows, scale):
    cfg = scaled(rows, scale, name)
    assert {key: cfg.model.to_dict()[key] for key in model} == model
    assert cfg.model.vit.to_dict() == dict(
        type='ViT', arch=dict(embed_dim=128, depth=6, num_heads=4), img_size=64, patch_size=8
    )
    assert cfg.train_dataloader.dataset.to_dict() == dict(
        type='Photos', data_root='photos/', split='train', scale=(0.2, 1.0), **dataset
    )
    for key in ('base_lr', 'total_batch_size', 'train_cfg', 'param_scheduler', 'optim_wrapper', 'val_dataloader'):
        assert cfg[key] == scale[key]
    assert 'published' not in cfg


@pytest.mark.parametrize(
    'one, other, same',
    [
        ('table1a_decoder_depth_8', 'fig5_mask_ratio_75', True),
        ('table1c_encoder_without_mask_tokens', 'table1e_augmentation_random_size', True),
        ('table2_vith_decoder_1', 'table1a_decoder_depth_1', True),
        ('table1f_masking_block_75', 'table1f_masking_grid_75', False),
    ],
)
def test_the_same_rows_are_the_same_when_scaled(one, other, same, rows, scale):
    assert (scaled(rows, scale, one).to_dict() == scaled(rows, scale, other).to_dict()) == same


def test_the_default_scale_is_the_small_pretrainings(rows):
    assert rows.make_scale(Config.fromfile(SCALE)).to_dict() == Config.fromfile(SCALE).to_dict()


def test_a_scale_has_what_was_asked_for(rows):
    cfg = rows.make_scale(Config.fromfile(SCALE), 'small', 96, 12, 9, 32, 1e-3, 'photos')
    assert cfg.model.vit.to_dict() == dict(type='ViT', arch='small', img_size=96, patch_size=12)
    assert cfg.train_cfg.max_epochs == cfg.param_scheduler[0].end == 9 and cfg.param_scheduler[
        0
    ].warmup == pytest.approx(0.4)
    assert cfg.total_batch_size == cfg.train_dataloader.batch_size == 32 and cfg.base_lr == 1e-3
    assert {cfg[f'{loader}_dataloader'].dataset.data_root for loader in ('train', 'val', 'test')} == {'photos/'}


@pytest.mark.parametrize(
    'epochs, published, expected', [(80, 100, 10), (80, 1600, 160), (4, 1600, 8), (4, 100, 1), (7, 800, 7)]
)
def test_epochs_are_scaled_as_the_baselines_800(rows, epochs, published, expected):
    scale = rows.make_scale(Config.fromfile(SCALE), epochs=epochs)
    cfg = scaled(rows, scale, f'fig7_epochs_{published}')
    assert cfg.train_cfg.max_epochs == cfg.param_scheduler[0].end == expected and cfg.train_cfg.val_interval == min(
        5, epochs, expected
    )
    assert cfg.param_scheduler[0].warmup == scale.param_scheduler[0].warmup == pytest.approx(2 * epochs / 45)
    assert scale.train_cfg.max_epochs == epochs


def test_a_hook_that_the_scale_lacks_comes_from_the_row(rows, scale):
    row = Config.fromfile(ABLATIONS / 'table1d_target_pca.py')
    scale.custom_hooks = [dict(type='NonFiniteLossHook', interval=7)]
    row.custom_hooks = [dict(type='NonFiniteLossHook', interval=50), dict(type='FitTargetHook')]
    assert rows.scale_row(row, scale).custom_hooks == [
        dict(type='NonFiniteLossHook', interval=7),
        dict(type='FitTargetHook'),
    ]


def made_up(results) -> list:
    """Two rows on an axis of numbers, the second one not yet measured, and one on an axis of words."""

    def row(name, published, baseline, top1, seconds):
        return results.Result(name, published, baseline, 100_000_000, 1.5, top1, seconds)

    return [
        row('deep', dict(table='Table 1a', axis='depth', row=8, finetune=84.9, linear=73.5), True, {0: {}, 1: {}}, {}),
        row(
            'flat',
            dict(table='Table 1a', axis='depth', row=1, finetune=84.8, linear=65.5),
            False,
            {0: dict(knn=20.0, fastprobe=40.25), 1: dict(knn=22.0)},
            {0: 60.0, 1: 120.0},
        ),
        row(
            'h',
            dict(table='Table 2', axis='size', row='ViT-H', place=1, hours=119.6),
            False,
            {0: dict(knn=30.0)},
            {0: 90.0},
        ),
    ]


def test_markdown(results):
    text = results.markdown(made_up(results), ['knn', 'fastprobe'], 'ViT 16x1x2').splitlines()
    assert text[0] == 'ViT 16x1x2' and '**Table 1a: depth**' in text and '**Table 2: size**' in text
    assert '| depth | fine-tune, paper | linear, paper | k-NN | linear | MFLOPs | of the baseline | minutes |' in text
    flat = text.index('| 1 | 84.8 | 65.5 | **21.0** (20.0, 22.0) | **40.2** (40.2) | 100 | 1.50 | 1.5 |')
    assert text[flat + 1] == '| **8** | 84.9 | 73.5 |  |  | 100 | 1.50 |  |'
    assert '| size | hours, paper | k-NN | linear | MFLOPs | of the baseline | minutes |' in text
    assert '| ViT-H | 119.6 | **30.0** (30.0) |  | 100 | 1.50 | 1.5 |' in text


def test_csv(results, tmp_path):
    results.write_csv(tmp_path / 'table.csv', made_up(results), ['knn', 'fastprobe'])
    with open(tmp_path / 'table.csv', newline='') as file:
        lines = list(csv.DictReader(file))
    assert [(line['config'], line['seed'], line['knn'], line['fastprobe'], line['seconds']) for line in lines] == [
        ('deep', '0', '', '', ''),
        ('deep', '1', '', '', ''),
        ('flat', '0', '20.0', '40.25', '60.0'),
        ('flat', '1', '22.0', '', '120.0'),
        ('h', '0', '30.0', '', '90.0'),
    ]
    assert (lines[0]['baseline'], lines[2]['paper_finetune'], lines[4]['paper_hours']) == ('1', '84.8', '119.6')


def test_plots(results, tmp_path):
    files = results.write_plots(tmp_path, made_up(results), ['knn', 'fastprobe'], 'small')
    assert [file.name for file in files] == ['table1a.png', 'table2.png']
    for file in files:
        with Image.open(file) as picture:
            assert picture.width > 1000 and len(picture.convert('RGB').getcolors(2**24)) > 20


def test_the_time_is_that_of_the_iterations(results, tmp_path):
    assert results.pretraining_seconds(tmp_path) is None
    # A run of 200 iterations that was cut off after the 150th and went on from the 100th; validations are no
    # iterations.
    for name, steps in (('1', (50, 100, 150)), ('2', (150, 200))):
        (tmp_path / name / 'vis_data').mkdir(parents=True)
        lines = [dict(iter=step, loss=1.0, time=0.5) for step in steps] + [dict(step=1, time=9.0, data_time=1.0)]
        (tmp_path / name / 'vis_data' / 'scalars.json').write_text('\n'.join(map(json.dumps, lines)))
    assert results.pretraining_seconds(tmp_path) == pytest.approx(100)


@pytest.fixture
def in_process(monkeypatch):
    return start_tools_here(monkeypatch)


def test_a_set_that_was_cut_off_is_gone_on_with(data, in_process, tmp_path):  # noqa: F811
    arguments = ('table1c', '--data', data, '--work-dir', tmp_path, '--epochs', 2, *TINY)
    masked, plain = 'table1c_encoder_with_mask_tokens', 'table1c_encoder_without_mask_tokens'
    in_process.cut_off = masked
    first = call('ablate', *arguments)
    assert first.code == 2 and f'error: 1 of 2 runs failed: {masked}, seed 0 ended with exit code 1: ' in first.err, (
        first.out + first.err
    )
    assert f'({tmp_path / masked / "seed0" / "log.txt"})' in first.err
    assert in_process.runs == [
        ('train', f'{masked}/seed0'),
        ('train', f'{plain}/seed0'),
        ('test', f'{plain}/seed0_k-NN_seed0'),
    ]

    in_process.cut_off, in_process.runs = None, []
    second = call('ablate', *arguments)
    assert second.code == 0, second.err + (tmp_path / masked / 'seed0' / 'log.txt').read_text()[-2000:]
    assert in_process.runs == [('train', f'{masked}/seed0'), ('test', f'{masked}/seed0_k-NN_seed0')]
    epochs = [
        [json.loads(line)['epoch'] for line in file.read_text().splitlines() if '"epoch"' in line]
        for file in sorted((tmp_path / masked / 'seed0').glob('*/vis_data/scalars.json'))
    ]
    assert [set(own) for own in epochs] in ([{1}, {2}], [{1, 2}])  # both within a second share a folder
    assert sum(own.count(1) for own in epochs) == 1

    in_process.runs = []
    third = call('ablate', 'table1a_decoder_depth_8', 'table1c', *arguments[1:])
    assert not in_process.runs and third.code == 0  # depth 8 is the baseline
    table = (tmp_path / 'table.md').read_text()
    assert third.out.strip().endswith(table.strip()) and table.count('| **in the decoder** | 84.9 | 73.5 | **') == 1
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


@pytest.mark.parametrize(
    'arguments, words',
    [
        (
            ['table9'],
            "no row 'table9': give a config, a pattern, or how a name in configs/ablations begins, e.g. fig5, fig7, "
            'table1a',
        ),
        ([SCALE], "has no published['table']: a row says where it stands"),
        (['table1c', '--arch', '16x1'], '--arch 16x1: give one of'),
        (['table1c', '--arch', '16x1x3'], 'embed_dim must be a multiple of num_heads'),
        (['table1c', '--img-size', '60'], 'is not divisible by patch_size 8'),
        (['table1c', '--data', 'nowhere'], '--data: there is no folder nowhere'),
        (['table1c', '--epochs', '0'], 'are above 0'),
        (
            ['table1c', '--readings-configs', 'configs/{}_no.py'],
            '--readings-configs configs/{}_no.py: there is no configs/knn_no.py',
        ),
        (['table1c', '--cfg-options', 'model.vit.arc=4'], "--cfg-options model.vit.arc: ViT has no setting 'arc'"),
    ],
)
def test_what_cannot_be_run_is_told_in_one_line(arguments, words, in_process, tmp_path):
    assert words in error_line(call('ablate', *arguments, '--work-dir', tmp_path))
    assert not in_process.runs and not list(tmp_path.iterdir())
