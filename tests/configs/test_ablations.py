"""configs/ablations: each row of MAE Table 1, Fig. 5, Fig. 7 and Table 2 once, differing from the baseline in its own
setting alone."""

from __future__ import annotations

import ast

import pytest
import torch
from mmengine.config import Config

from mae_transfer.registry import DATASETS, MODELS
from tests.configs.recipes import CONFIGS, LOADERS, load
from tests.helpers import photo_folder

FILES = {path.stem: path for path in sorted((CONFIGS / 'ablations').glob('[!_]*.py'))}

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
    **{f'fig7_epochs_{epochs}': {'max_epochs': epochs} for epochs in (100, 200, 400, 1600)},
    'table2_vitl_mask_tokens_decoder_8': {'model.encoder_mask_tokens': True},
    'table2_vitl_decoder_1': {'model.decoder.depth': 1},
    'table2_vith_decoder_8': {'arch': 'huge', 'train_dataloader.batch_size': 32},
    'table2_vith_decoder_1': {'arch': 'huge', 'train_dataloader.batch_size': 32, 'model.decoder.depth': 1},
    'table2_vith_mask_tokens_decoder_8': {
        'arch': 'huge',
        'train_dataloader.batch_size': 32,
        'model.encoder_mask_tokens': True,
    },
}


def flat(node: dict, prefix: str = '') -> dict:
    """A nested dictionary by dotted keys."""
    found = {}
    for key, value in node.items():
        found.update(flat(value, f'{prefix}{key}.') if isinstance(value, dict) else {f'{prefix}{key}': value})
    return found


def stated(name: str) -> dict:
    """What a config and its bases state, references as they are, by dotted keys."""
    return flat(Config.fromfile(CONFIGS / f'{name}.py').to_dict())


def changes(name: str, base: str) -> dict:
    """The settings in which a config differs from another."""
    cfg, baseline = stated(name), stated(base)
    missing = {key: None for key in baseline.keys() - cfg.keys()}
    own = {key: value for key, value in cfg.items() if not key.startswith('published.')}
    return missing | {key: value for key, value in own.items() if key not in baseline or baseline[key] != value}


def test_the_baseline_is_800_epochs_of_plain_pixels():
    assert changes('ablations/_baseline', 'mae_pretrain_vitl') == {
        'model.target.type': 'PixelTarget',
        'max_epochs': 800,
    }


def test_every_published_row_is_there_once():
    found: dict[str, list] = {}
    for name in FILES:
        published = load(f'ablations/{name}').published
        found.setdefault(published.table, []).append((published.get('place', published.row), published.row))
    assert {table: [row for _, row in sorted(rows)] for table, rows in found.items()} == ROWS
    assert set(CHANGES) < set(FILES)


@pytest.mark.parametrize('name', FILES)
def test_a_row_differs_in_its_own_setting_alone(name):
    assert changes(f'ablations/{name}', 'ablations/_baseline') == CHANGES.get(name, {})


def unquoted(name: str) -> list[str]:
    """What a row's docstring lacks, or has beyond the published numbers."""
    text = ' '.join(ast.get_docstring(ast.parse(FILES[name].read_text())).split())
    published = load(f'ablations/{name}').published
    wanted, unwanted = [f'(quoted: MAE {published.table})', 'Recipe: configs/ablations/_baseline.py', 'Cost: '], []
    for key, words in (
        ('finetune', 'top-1 after fine-tuning'),
        ('linear', 'after linear probing'),
        ('hours', 'hours on 128 TPU-v3 cores'),
    ):
        if key in published:
            wanted.append(f'{published[key]} {words}')
        elif key != 'hours':
            unwanted.append(words)
    lines = [f'{name}: no "{part}"' for part in wanted if part not in text]
    lines += [f'{name}: "{part}", which is not published' for part in unwanted if part in text]
    if not {'finetune', 'linear', 'hours'} & set(published):
        lines.append(f'{name}: no published number')
    if not text.startswith(f'MAE {published.table}: '):
        lines.append(f'{name}: does not begin with the table')
    if not text.endswith(f'Train: tools/dist_train.sh configs/ablations/{name}.py 8'):
        lines.append(f'{name}: does not end with the command')
    return lines


def test_the_docstrings_quote_the_published_numbers():
    assert [line for name in FILES for line in unquoted(name)] == []


def test_bold_rows_have_the_baselines_numbers():
    bold = {name: load(f'ablations/{name}').published for name in FILES if name not in CHANGES}
    assert len(bold) == len(ROWS)
    numbers = {name: (row.finetune, row.get('linear', 73.5)) for name, row in bold.items()}
    assert numbers == dict.fromkeys(bold, (84.9, 73.5))


# Of the models: of the photos and of the length of the run nothing is built here.
@pytest.mark.parametrize('name', ['_baseline', *(name for name in CHANGES if 'model.' in str(CHANGES[name]))])
def test_the_model_of_a_row_is_built(name):
    model = load(f'ablations/{name}').model.to_dict()
    model['vit']['arch'] = '64x1x2'
    model['decoder']['depth'] = min(model['decoder']['depth'], 2)
    with torch.device('meta'):
        mae = MODELS.build(model)
    assert mae.decoder.embed.out_features == model['decoder']['embed_dim']
    assert len(mae.decoder.blocks) == model['decoder']['depth']
    assert (mae.decoder.mask_token is None) == model.get('encoder_mask_tokens', False)
    assert mae.decoder.pred.out_features == {'PCATarget': 96, 'TokenTarget': 8192}.get(
        model['target']['type'], 16 * 16 * 3
    )
    kept = mae.masking.num_kept(mae.vit.grid)
    assert kept == pytest.approx(14 * 14 * (1 - model['masking']['ratio']), abs=1)


@pytest.mark.parametrize('name', ['none', 'fixed_size', 'random_size', 'color_jitter'])
def test_the_photos_of_a_row_are_built(name, tmp_path):
    photos = load(f'ablations/table1e_augmentation_{name}').train_dataloader.dataset
    dataset = DATASETS.build(dict(photos, data_root=str(photo_folder(tmp_path, 4)), img_size=16))
    assert dataset[0, 1]['inputs'].shape == (3, 16, 16)


@pytest.mark.parametrize('epochs, interval, checkpoints', [(100, 6, 1), (200, 12, 2), (400, 25, 5), (1600, 100, 20)])
def test_a_row_of_another_length_is_judged_as_often(epochs, interval, checkpoints):
    cfg = load(f'ablations/fig7_epochs_{epochs}')
    assert cfg.train_cfg.max_epochs == epochs
    assert cfg.train_cfg.val_interval == cfg.default_hooks.reconstructions.interval == interval
    assert cfg.default_hooks.checkpoint.interval == checkpoints


def test_every_row_is_trained_and_judged_on_the_data_root():
    for name in FILES:
        assert {load(f'ablations/{name}')[loader].dataset.data_root for loader in LOADERS} == {'data/imagenet'}, name
