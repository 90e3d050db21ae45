"""The grid of a checkpoint's positions is known, told or assumed aloud; never guessed in silence."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.config import Config

from mae_transfer.errors import CheckpointError
from mae_transfer.vit import ViT
from mae_transfer.vit.position import resize_pos_embed, sincos_grid, sincos_table
from mae_transfer.vit.weights.checkpoint import load_vit, read_weights, starting_point
from mae_transfer.vit.weights.source_grid import SourceGrid, stated_grid
from tests.vit.weights.test_checkpoint import copy_of, randomize, small_vit, unchanged

sides = st.integers(1, 12)


@settings(deadline=None, max_examples=60)
@given(rows=sides, columns=sides, dtype=st.sampled_from([torch.float32, torch.float16, torch.bfloat16]))
def test_a_sincos_table_shows_its_grid(rows, columns, dtype):
    table = sincos_table(16, (rows, columns))[0, 1:].to(dtype)
    assert sincos_grid(table) == (rows, columns)


@pytest.mark.parametrize('grid', [(16, 16), (8, 32), (32, 8), (4, 64), (1, 256), (256, 1)])
@pytest.mark.parametrize('width', [16, 768])
def test_256_patches_of_a_sincos_table(grid, width):
    assert sincos_grid(sincos_table(width, grid)[0, 1:]) == grid


def test_another_table_shows_nothing():
    assert sincos_grid(torch.randn(16, 32)) is None
    assert sincos_grid(sincos_table(32, (4, 4))[0, 1:] + 0.1) is None
    assert sincos_grid(sincos_table(32, (4, 4))[0, 1:].flip(0)) is None
    assert sincos_grid(torch.randn(4, 6)) is None
    assert sincos_grid(resize_pos_embed(sincos_table(32, (4, 4)), (4, 4), (8, 8))[0, 1:]) is None


# --- what a file says -------------------------------------------------------------------------------------------------
def run_config(**vit) -> dict:
    """The ``meta`` of a run's checkpoint."""
    model = dict(type='MAE', vit=dict(dict(type='ViT', arch='32x2x2', img_size=(16, 48), patch_size=8), **vit))
    cfg = Config(dict(work_dir="it's", lengths=[1, 2.5], model=model, hooks={'a.b': dict(type='X')}))
    return dict(cfg=cfg.pretty_text, epoch=3)


@pytest.mark.parametrize(
    'changes, grid',
    [
        ({}, (2, 6)),
        (dict(img_size=32), (4, 4)),
        (dict(patch_size=None, img_size=(64, 32)), (4, 2)),
        (dict(arch='huge', patch_size=None, img_size=(28, 42)), (2, 3)),
        (dict(arch=dict(embed_dim=8, depth=1, num_heads=2, patch_size=4), patch_size=None, img_size=8), (2, 2)),
    ],
)
def test_a_runs_config_states_the_grid(changes, grid):
    assert stated_grid(run_config(**changes)) == SourceGrid(grid, "the file's config")


def test_a_backbones_config_states_the_grid():
    assert stated_grid(dict(cfg="model = dict(backbone=dict(arch='base', img_size=32))")).grid == (2, 2)


@pytest.mark.parametrize(
    'meta',
    [
        None,
        {},
        dict(cfg=None),
        dict(cfg='model = '),
        dict(cfg='model = 3'),
        dict(cfg="model = dict(vit=dict(arch='gigantic'))"),
        dict(cfg="model = dict(backbone=dict(type='ResNet', depth=50, arch=3))"),
        dict(cfg="model = __import__('os').system('false')"),
        dict(cfg='model = dict(vit=dict(img_size=exit()))'),
        dict(vit_grid='8x32'),
    ],
)
def test_what_cannot_be_read_states_nothing_and_is_never_run(meta):
    assert stated_grid(meta) is None


# --- loading ----------------------------------------------------------------------------------------------------------
def test_a_pre_training_of_8_x_32_patches_is_resized_as_such():
    """FIELD.md: it was read as 16 x 16, with positions off by up to 2.0, in silence."""
    source = ViT('32x2x2', img_size=(16, 64), patch_size=2)
    vit = ViT('32x2x2', img_size=64, patch_size=4)  # 16 x 16
    report = load_vit(vit, source.state_dict())
    expected = resize_pos_embed(source.pos_embed, (8, 32), (16, 16))
    torch.testing.assert_close(vit.pos_embed, expected)
    assert (vit.pos_embed - source.pos_embed).abs().max() > 1.5
    assert 'pos_embed' in report.resized
    assert '  positions: of 8 x 32 patches (its sin-cos table), resized to 16 x 16' in str(report)


@pytest.mark.parametrize('grid', [(4, 8), (2, 8), (3, 5)])
def test_any_grid_that_is_not_square_needs_no_setting(grid):
    source, vit = small_vit(img_size=(grid[0] * 8, grid[1] * 8)), small_vit()
    report = load_vit(vit, source.state_dict())
    torch.testing.assert_close(vit.pos_embed, resize_pos_embed(source.pos_embed, grid, (4, 4)))
    assert report.grid.grid == grid and report.grid.is_table


def test_the_same_grid_is_named_where_it_is_not_square():
    source, vit = small_vit(img_size=(16, 64)), small_vit(img_size=(16, 64))
    report = load_vit(vit, source.state_dict())
    assert unchanged(vit, copy_of(source)) and not report.resized
    assert '  positions: of 2 x 8 patches (its sin-cos table)' in str(report).splitlines()


def test_positions_that_were_trained_are_for_the_grid_of_the_files_config():
    source = randomize(small_vit(img_size=(16, 48)))
    file = dict(meta=run_config(), state_dict={f'vit.{name}': value for name, value in source.state_dict().items()})
    vit = small_vit()
    report = load_vit(vit, file)
    torch.testing.assert_close(vit.pos_embed, resize_pos_embed(source.pos_embed, (2, 6), (4, 4)))
    assert "  positions: of 2 x 6 patches (the file's config), resized to 4 x 4" in str(report)


def test_as_many_patches_in_another_grid_by_the_files_config():
    source = randomize(small_vit(img_size=(16, 64)))
    file = dict(meta=run_config(img_size=(16, 64)), state_dict=source.state_dict())
    vit = small_vit()
    assert 'pos_embed' in load_vit(vit, file).resized
    torch.testing.assert_close(vit.pos_embed, resize_pos_embed(source.pos_embed, (2, 8), (4, 4)))


def test_a_config_of_other_positions_is_not_believed():
    file = dict(meta=run_config(), state_dict=randomize(small_vit()).state_dict())  # 2 x 6, but 16 positions
    assert load_vit(small_vit(img_size=64), file).grid == SourceGrid(
        (4, 4), 'taken as a square: the file does not say', is_known=False
    )


def test_a_square_that_was_assumed_is_reported_as_such():
    report = load_vit(small_vit(img_size=64), randomize(small_vit()).state_dict())
    assert '  positions: of 4 x 4 patches (taken as a square: the file does not say), resized to 8 x 8' in str(report)


def test_the_models_grid_that_was_assumed_is_reported_as_such():
    source = randomize(small_vit(img_size=(16, 48)))
    report = load_vit(small_vit(img_size=(16, 48)), source.state_dict())
    assert '  positions: of 2 x 6 patches (taken as the model is: the file does not say)' in str(report)


def test_the_usual_square_needs_no_line():
    assert 'positions' not in str(load_vit(small_vit(), small_vit().state_dict()))


@pytest.mark.parametrize(
    'grid, words',
    [
        ((4, 4), r'is for 2 x 8 patches \(its sin-cos table\), not for source_grid 4 x 4: leave it out'),
        ((2, 5), 'source_grid 2 x 5 has 10'),
        (16, r'source_grid is \(rows, columns\) of patches, e.g. \(8, 32\); found 16'),
        ((2, '8'), r'source_grid is \(rows, columns\)'),
        ((-2, -8), r'source_grid is \(rows, columns\)'),
    ],
)
def test_a_wrong_source_grid_is_refused_and_changes_nothing(grid, words):
    source, vit = randomize(small_vit(img_size=(16, 64))), small_vit()
    with torch.no_grad():
        source.pos_embed.copy_(sincos_table(32, (2, 8)))
    before = copy_of(vit)
    with pytest.raises(CheckpointError, match=words):
        load_vit(vit, source.state_dict(), source_grid=grid)
    assert unchanged(vit, before)


def test_init_cfg_gives_the_grid(tmp_path):
    source = randomize(small_vit(img_size=(16, 48)))
    torch.save(source.state_dict(), tmp_path / 'vit.pth')
    init_cfg = dict(type='Pretrained', checkpoint=str(tmp_path / 'vit.pth'))
    with pytest.raises(
        CheckpointError, match=r'no square grid: give source_grid=\(rows, columns\), in a config as model.vit'
    ):
        small_vit(init_cfg=init_cfg).init_weights()
    vit = small_vit(init_cfg=dict(init_cfg, source_grid=[2, 6]))
    vit.init_weights()
    torch.testing.assert_close(vit.pos_embed, resize_pos_embed(source.pos_embed, (2, 6), (4, 4)))


def test_what_init_cfg_has_no_use_for_is_refused():
    assert starting_point(None) is None and starting_point(dict(type='Pretrained', checkpoint='none')) is None
    assert starting_point(dict(type='Pretrained', checkpoint=None, source_grid=(1, 2))) is None
    with pytest.raises(
        CheckpointError, match="has 'checkpoint', 'source_grid' and 'weights_key', not 'prefix': leave it out"
    ):
        starting_point(dict(type='Pretrained', checkpoint='a.pth', prefix='backbone.'))


def test_weights_that_were_read_remember_the_grid():
    assert read_weights(dict(meta=run_config(), state_dict=small_vit().state_dict())).grid.grid == (2, 6)


@pytest.mark.parametrize(
    'text, grid',
    [
        ('{"image_size": [16, 48], "patch_size": 8}', (2, 6)),
        ('{"image_size": 32, "patch_size": 8}', (4, 4)),
        ('{"hidden_size": 8}', None),
        ('{"image_size": "x", "patch_size": 8}', None),
        ('[1]', None),
        ('not JSON', None),
    ],
)
def test_a_hugging_face_folder_states_the_grid(text, grid, tmp_path):
    (tmp_path / 'config.json').write_text(text)
    torch.save(small_vit().state_dict(), tmp_path / 'pytorch_model.bin')
    assert read_weights(tmp_path).grid == (grid and SourceGrid(grid, 'config.json beside it'))
