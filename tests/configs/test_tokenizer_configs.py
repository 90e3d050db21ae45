"""The tokenizers' configs, and a training by one of them that a pre-training's target then reads."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from mae_transfer.registry import MODELS
from mae_transfer.settings import change_settings
from tests.configs.recipes import CONFIGS, LOADERS, check_recipe, load
from tests.helpers import photo_folder
from tests.tools.commands import call, error_line, train

TINY = "{'type':'ViT','arch':{'embed_dim':16,'depth':1,'num_heads':2},'img_size':32,'patch_size':8}"
DECODER = "{'type':'MAEDecoder','embed_dim':16,'depth':1,'num_heads':2}"


@pytest.mark.parametrize(
    'name, vocabulary, side, grid', [('tokenizer_dvae', 8192, 112, 14), ('small/tokenizer_dvae_tin20', 512, 64, 8)]
)
def test_photos_become_as_many_tokens_as_a_vit_has_patches(name, vocabulary, side, grid):
    cfg = load(name)
    with torch.device('meta'):
        model = MODELS.build(cfg.model)
        assert model.logits(torch.zeros(1, 3, side, side)).shape == (1, vocabulary, grid, grid)
    assert {cfg[name].dataset.img_size for name in LOADERS} == {side}
    changed = change_settings(cfg, ['image_size=32', 'data_root=elsewhere'])
    for name in LOADERS:
        assert (changed[name].dataset.img_size, changed[name].dataset.data_root) == (32, 'elsewhere')


def test_the_recipe_is_what_the_docstring_says():
    check_recipe(
        load('tokenizer_dvae'),
        {
            'base_lr': 1e-4 / 2,  # 1e-4 at a batch of 512
            'total_batch_size': 512,
            'max_epochs': 100,
            'train_cfg.max_epochs': 100,
            'train_cfg.val_interval': 5,
            'optim_wrapper.optimizer': dict(type='AdamW', betas=(0.9, 0.999), weight_decay=1e-4, fused=True),
            'default_hooks.annealing': dict(type='AnnealingHook'),
            'default_hooks.checkpoint.interval': 5,
            'model.vocab_size': 8192,
        },
    )


@pytest.mark.parametrize('name', ['tokenizer_dvae', 'small/tokenizer_dvae_tin20'])
def test_the_docstring_names_command_and_use(name):
    text = (CONFIGS / f'{name}.py').read_text()
    for part in ('Train: tools/', f'configs/{name}.py', f"checkpoint='work_dirs/{name}'", 'Cost'):
        assert part in text


def test_the_small_docstring_gives_the_sizes_that_the_target_needs():
    text = ' '.join((CONFIGS / 'small' / 'tokenizer_dvae_tin20.py').read_text().split())
    model = load('small/tokenizer_dvae_tin20').model
    assert ', '.join(f'{key}={model[key]}' for key in ('vocab_size', 'width', 'code_dim', 'num_blocks')) + ',' in text


def small_run(photos: Path, *more: str) -> list[str]:
    loaders = [
        f'{loader}_dataloader.{key}' for loader in ('train', 'val', 'test') for key in ('num_workers=0', 'batch_size=4')
    ]
    return ['--cfg-options', f'data_root={photos}', 'total_batch_size=4', 'max_epochs=1', 'warmup=.1', *loaders, *more]


def test_a_tokenizer_is_trained_judged_and_predicted(tmp_path):
    photos, sizes = photo_folder(tmp_path / 'photos', 12), dict(vocab_size=16, width=8, code_dim=4)
    settings = ['image_size=32', *(f'model.{key}={value}' for key, value in sizes.items())]
    config = CONFIGS / 'small' / 'tokenizer_dvae_tin20.py'
    train(config, '--work-dir', tmp_path / 'dvae', *small_run(photos, *settings))
    judged = call('test', config, tmp_path / 'dvae', '--work-dir', tmp_path / 'judged', *small_run(photos, *settings))
    assert judged.code == 0 and 'tokenizer/error: 0.' in judged.out and 'tokenizer/tokens_used: ' in judged.out

    target = dict(
        type='TokenTarget', tokenizer=dict(type='DVAE', num_blocks=1, **sizes, checkpoint=str(tmp_path / 'dvae'))
    )
    mae, base = CONFIGS / 'small' / 'mae_pretrain_tin20.py', [f'model.vit={TINY}', f'model.decoder={DECODER}']
    options = small_run(photos, *base, f'model.target={target}')
    train(mae, '--work-dir', tmp_path / 'mae', *options)
    assert (tmp_path / 'mae' / 'reconstructions' / 'last.png').is_file()
    # Judged and drawn without the tokenizer's own file, which the model has.
    (tmp_path / 'dvae').rename(tmp_path / 'moved')
    judged = call('test', mae, tmp_path / 'mae', '--work-dir', tmp_path / 'judged', *options)
    assert judged.code == 0 and 'reconstruction/masked_loss: ' in judged.out, judged.err
    drawn = call('reconstruct', mae, tmp_path / 'mae', tmp_path / 'drawn.png', *options)
    assert drawn.code == 0 and (tmp_path / 'drawn.png').is_file(), drawn.err
    line = error_line(call('train', mae, '--work-dir', tmp_path / 'again', *options))
    assert 'tokenizer.checkpoint: ' in line and 'train one with tools/train.py configs/tokenizer_dvae.py' in line
