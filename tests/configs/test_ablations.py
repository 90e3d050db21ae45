"""configs/ablations: each row of MAE Table 1, Fig. 5, Fig. 7 and Table 2 once, differing from the baseline in its own
setting alone."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from mae_transfer.registry import DATASETS, MODELS
from tests.helpers import photo_folder

ABLATIONS = Path(__file__).parents[2] / 'configs' / 'ablations'
FILES = sorted(ABLATIONS.glob('[!_]*.py'))
every_row = pytest.mark.parametrize('file', FILES, ids=lambda file: file.stem)

#: {table: the rows' values, in the paper's order}
ROWS = {
    'Table 1a': [1, 2, 4, 8, 12],
    'Table 1b': [128, 256, 512, 768, 1024],
    'Table 1c': ['in the encoder', 'in the decoder'],
    'Table 1d': ['pixel', 'pixel, normalised', 'PCA', 'dVAE token'],
    'Table 1e': ['none', 'crop, fixed size', 'crop, random size', 'crop, random size, colour jitter'],
    'Table 1f': ['random, .75', 'block, .5', 'block, .75', 'grid, .75'],
    'Fig. 5': [10, 20, 30, 40, 50, 60, 70, 75, 80, 90],
    'Fig. 7': [100, 200, 400, 800, 1600],
    'Table 2': [
        f'ViT-{size}, {row}'
        for size in 'LH'
        for row in ('[M] in the encoder, decoder of 8', 'decoder of 8', 'decoder of 1')
    ],
}
#: {file: the settings in which it differs from the baseline}; a row that is not here is the baseline.
CHANGES = {
    **{f'table1a_decoder_depth_{depth}': {'model.decoder.depth': depth} for depth in (1, 2, 4, 12)},
    **{f'table1b_decoder_width_{width}': {'model.decoder.embed_dim': width} for width in (128, 256, 768, 1024)},
    'table1c_encoder_with_mask_tokens': {'model.encoder_mask_tokens': True},
    'table1d_target_normalized_pixel': {'model.target.type': 'NormalizedPixelTarget'},
    'table1d_target_pca': {'model.target.type': 'PCATarget', 'model.target.components': 96},
    'table1d_target_dvae_token': {
        'model.target.type': 'TokenTarget',
        'model.target.tokenizer.type': 'DVAE',
        'model.target.tokenizer.checkpoint': 'work_dirs/tokenizer_dvae',
    },
    'table1e_augmentation_none': {'train_dataloader.dataset.augment': 'none'},
    'table1e_augmentation_fixed_size': {'train_dataloader.dataset.augment': 'fixed_size'},
    'table1e_augmentation_color_jitter': {'train_dataloader.dataset.color_jitter': (0.4, 0.4, 0.2, 0.1)},
    'table1f_masking_block_50': {'model.masking.type': 'BlockMasking', 'model.masking.ratio': 0.5},
    'table1f_masking_block_75': {'model.masking.type': 'BlockMasking'},
    'table1f_masking_grid_75': {'model.masking.type': 'GridMasking'},
    **{
        f'fig5_mask_ratio_{ratio}': {'model.masking.ratio': ratio / 100}
        for ratio in (10, 20, 30, 40, 50, 60, 70, 80, 90)
    },
    **{
        f'fig7_epochs_{epochs}': {
            'train_cfg.max_epochs': epochs,
            'param_scheduler': [
                dict(type='WarmupCosineLR', warmup=40, end=epochs, by_epoch=True, convert_to_iter_based=True)
            ],
        }
        for epochs in (100, 200, 400, 1600)
    },
    'table2_vitl_mask_tokens_decoder_8': {'model.encoder_mask_tokens': True},
    'table2_vitl_decoder_1': {'model.decoder.depth': 1},
    'table2_vith_decoder_8': {'model.vit.arch': 'huge', 'train_dataloader.batch_size': 32},
    'table2_vith_decoder_1': {'model.vit.arch': 'huge', 'train_dataloader.batch_size': 32, 'model.decoder.depth': 1},
    'table2_vith_mask_tokens_decoder_8': {
        'model.vit.arch': 'huge',
        'train_dataloader.batch_size': 32,
        'model.encoder_mask_tokens': True,
    },
}


@cache
def load(file: Path) -> Config:
    return Config.fromfile(file)


def flat(node: dict, prefix: str = '') -> dict:
    """A nested dictionary by dotted keys."""
    found = {}
    for key, value in node.items():
        found.update(flat(value, f'{prefix}{key}.') if isinstance(value, dict) else {f'{prefix}{key}': value})
    return found


def test_the_baseline_is_800_epochs_of_plain_pixels():
    cfg, recipe = (
        flat(load(ABLATIONS / '_baseline.py').to_dict()),
        flat(load(ABLATIONS.parent / 'mae_pretrain_vitl.py').to_dict()),
    )
    schedule = cfg.pop('param_scheduler'), recipe.pop('param_scheduler')
    assert {key: value for key, value in cfg.items() if recipe.get(key) != value} == {
        'model.target.type': 'PixelTarget',
        'train_cfg.max_epochs': 800,
    }
    assert set(recipe) == set(cfg)
    assert schedule[0] == [dict(schedule[1][0], end=800)]


def test_every_published_row_is_there_once():
    found: dict[str, list] = {}
    for file in FILES:
        published = load(file).published
        found.setdefault(published.table, []).append((published.get('place', published.row), published.row))
    assert {table: [row for _, row in sorted(rows)] for table, rows in found.items()} == ROWS
    assert set(CHANGES) < {file.stem for file in FILES}


@every_row
def test_a_row_differs_in_its_own_setting_alone(file):
    cfg = load(file).to_dict()
    del cfg['published']
    cfg, baseline = flat(cfg), flat(load(ABLATIONS / '_baseline.py').to_dict())
    assert {key: value for key, value in cfg.items() if baseline.get(key) != value} == CHANGES.get(file.stem, {})
    assert set(baseline) <= set(cfg)


@every_row
def test_the_docstring_quotes_the_published_numbers(file):
    text, published = ' '.join(ast.get_docstring(ast.parse(file.read_text())).split()), load(file).published
    assert text.startswith(f'MAE {published.table}: ')
    for key, words in (
        ('finetune', 'top-1 after fine-tuning'),
        ('linear', 'after linear probing'),
        ('hours', 'hours on 128 TPU-v3 cores'),
    ):
        if key in published:
            assert f'{published[key]} {words}' in text
        elif key != 'hours':
            assert words not in text
    assert {'finetune', 'linear', 'hours'} & set(published) and f'(quoted: MAE {published.table})' in text
    assert 'Recipe: configs/ablations/_baseline.py' in text and 'Cost: ' in text
    assert text.endswith(f'Command: tools/dist_train.sh configs/ablations/{file.name} 8')


@every_row
def test_bold_rows_have_the_baselines_numbers(file):
    published = load(file).published
    if file.stem not in CHANGES:
        assert published.finetune == 84.9 and published.get('linear', 73.5) == 73.5


@every_row
def test_the_model_is_built(file):
    model = load(file).model.to_dict()
    model['vit']['arch'] = dict(embed_dim=64, depth=1, num_heads=2)
    model['decoder']['depth'] = min(model['decoder']['depth'], 2)
    with torch.device('meta'):
        mae = MODELS.build(model)
    assert (
        mae.decoder.embed_dim
        if hasattr(mae.decoder, 'embed_dim')
        else mae.decoder.embed.out_features == model['decoder']['embed_dim']
    )
    assert mae.decoder.pred.out_features == {'PCATarget': 96, 'TokenTarget': 8192}.get(
        model['target']['type'], 16 * 16 * 3
    )


@pytest.mark.parametrize('name', ['none', 'fixed_size', 'random_size', 'color_jitter'])
def test_the_photos_are_built(name, tmp_path):
    photos = load(ABLATIONS / f'table1e_augmentation_{name}.py').train_dataloader.dataset.to_dict()
    dataset = DATASETS.build(dict(photos, data_root=str(photo_folder(tmp_path, 4)), img_size=16))
    assert dataset[0, 1]['inputs'].shape == (3, 16, 16)
