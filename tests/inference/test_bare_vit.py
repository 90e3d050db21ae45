"""A ViT alone: what its weights and folder show is taken, what they do not show is asked for."""

from __future__ import annotations

import json

import pytest
import timm
import torch
from safetensors.torch import save_file
from timm.models.beit import Beit
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from mae_transfer.data.files.bands import RGB_MEAN, RGB_STD
from mae_transfer.errors import UserError
from mae_transfer.inference.bare_vit import read_bare_vit
from mae_transfer.starts import start
from tests.helpers import enlarge

HALF = (127.5,) * 3


def saved(path, model_type=VisionTransformer, **settings):
    """Weights of a ViT of timm's."""
    torch.manual_seed(0)
    sizes = dict(dict(img_size=32, patch_size=8, embed_dim=48, depth=2, num_heads=3, num_classes=0), **settings)
    state = enlarge(model_type(**sizes)).state_dict()
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(state, path) if path.suffix == '.safetensors' else torch.save(state, path)
    return path


def test_the_size_is_told_from_the_weights(tmp_path):
    bare = read_bare_vit(saved(tmp_path / 'a.safetensors', mlp_ratio=2.5, patch_size=4, img_size=24), arch='48x2x3')
    size = bare.vit.size
    assert (size.embed_dim, size.depth, size.num_heads, size.patch_size) == (48, 2, 3, 4)
    assert bare.vit.blocks[0].mlp.fc1.out_features == 120 and bare.vit.grid == (6, 6)
    assert (bare.bands, bare.mean, bare.std, bare.fc_norm) == ('RGB', RGB_MEAN, RGB_STD, None)
    assert not bare.vit.training


@pytest.mark.parametrize('hidden', range(100, 160, 7))
def test_every_width_of_the_mlp(hidden, tmp_path):
    vit = VisionTransformer(32, 8, embed_dim=48, depth=1, num_heads=3, num_classes=0)
    vit.blocks[0].mlp.fc1, vit.blocks[0].mlp.fc2 = nn.Linear(48, hidden), nn.Linear(hidden, 48)
    torch.save(vit.state_dict(), tmp_path / 'a.pth')
    assert read_bare_vit(tmp_path / 'a.pth', arch='48x1x3').vit.blocks[0].mlp.fc1.out_features == hidden


def test_a_size_with_a_name_needs_no_arch(tmp_path):
    path = saved(tmp_path / 'tiny.pth', embed_dim=192, depth=12)
    assert read_bare_vit(path).vit.size.num_heads == 3
    path = saved(tmp_path / 'small.pth', embed_dim=384, depth=12, num_heads=12)
    assert [read_bare_vit(path, init=init).vit.size.num_heads for init in (None, 'deit', 'mocov3')] == [6, 6, 12]
    assert read_bare_vit(path, init='mocov3_vits16').vit.size.num_heads == 12


@pytest.mark.parametrize(
    'settings, line',
    [
        (
            {},
            "a ViT of embed_dim 48, depth 2 has no name, and weights do not show the number of heads: give arch='48x2x",
        ),
        (dict(arch='48x3x3'), "arch '48x3x3' is of embed_dim 48, depth 3; the weights of 48, 2"),
        (dict(init='dinov2_vits14'), "init 'dinov2_vits14' is of embed_dim 384, depth 12; the weights of 48, 2"),
        (dict(arch='48x2x3', bands='L'), "the ViT takes 3 channels; bands='L' are 1"),
        (dict(arch='48x2x3', mean=[1, 2]), "mean has 2 values; bands='RGB' are 3"),
        (dict(arch='48x2x3', std=0), 'std is a number above 0 for each channel'),
        (dict(arch='48x2x3', init='clip'), 'the checkpoint has '),
        (dict(arch='48x2x3', init='nobody'), "unknown init 'nobody': "),
        (dict(arch='48x2x3', source_grid=(2, 9)), 'pos_embed is for 16 patches'),
    ],
)
def test_what_does_not_fit_is_one_line(settings, line, tmp_path):
    with pytest.raises(UserError) as error:
        read_bare_vit(saved(tmp_path / 'a.pth'), **settings)
    assert line in str(error.value) and '\n' not in str(error.value)


def test_a_vit_without_class_token_is_not_taken_for_any(tmp_path):
    path = saved(tmp_path / 'a.pth', class_token=False, global_pool='avg', fc_norm=False)
    with pytest.raises(
        UserError, match="no class token, and .* do not say whose it is: give init='siglip', or init='mae'"
    ):
        read_bare_vit(path, arch='48x2x3')
    activations = [read_bare_vit(path, arch='48x2x3', init=init).vit.blocks[0].mlp.act for init in ('mae', 'siglip')]
    assert isinstance(activations[0], nn.GELU) and not isinstance(activations[1], nn.GELU)


@pytest.mark.parametrize('settings', [dict(pre_norm=True), dict(reg_tokens=4, no_embed_class=True)])
def test_what_only_some_projects_have_is_not_taken_for_a_plain_vit(settings, tmp_path):
    with pytest.raises(UserError, match='set the init of these weights'):
        read_bare_vit(saved(tmp_path / 'a.pth', **settings), arch='48x2x3')


def test_other_channels_need_bands_mean_and_std(tmp_path):
    path = saved(tmp_path / 'a.pth', in_chans=4)
    with pytest.raises(UserError, match='the ViT takes 4 channels: give bands, .* with mean and std$'):
        read_bare_vit(path, arch='48x2x3')
    with pytest.raises(UserError, match=r'^bands=\(1, 2, 3, 4\) need mean and std, a value for each band'):
        read_bare_vit(path, arch='48x2x3', bands=(1, 2, 3, 4))
    bare = read_bare_vit(path, arch='48x2x3', bands='1,2,3,4', mean=[1, 2, 3, 4], std=[5, 6, 7, 8])
    assert (bare.bands, bare.mean, bare.std) == ((1, 2, 3, 4), (1, 2, 3, 4), (5, 6, 7, 8))
    grey = saved(tmp_path / 'grey.pth', in_chans=1)
    assert read_bare_vit(grey, arch='48x2x3', mean=100, std=50).bands == 'L'


def test_the_folder_says_what_weights_do_not(tmp_path):
    path = saved(tmp_path / 'timm' / 'model.safetensors')
    stated = dict(mean=[0.5] * 3, std=[0.5] * 3, input_size=[3, 32, 32])
    config = dict(architecture='vit_tiny_patch16_224', pretrained_cfg=stated, model_args=dict(num_heads=3))
    (path.parent / 'config.json').write_text(json.dumps(config))
    bare = read_bare_vit(path.parent)
    assert (bare.vit.size.num_heads, bare.mean, bare.std) == (3, HALF, HALF)
    assert read_bare_vit(path.parent, mean=RGB_MEAN).mean == RGB_MEAN


def test_a_folder_that_timm_wrote(tmp_path):
    sizes = dict(img_size=32, patch_size=8, embed_dim=48, depth=2, num_heads=3)
    model = timm.create_model('vit_tiny_patch16_224', num_classes=0, **sizes)
    timm.models.save_for_hf(model, tmp_path / 'hub', model_args=sizes, safe_serialization=True)
    bare = read_bare_vit(tmp_path / 'hub')
    assert (bare.vit.size.num_heads, bare.vit.grid, bare.mean, bare.std) == (3, (4, 4), HALF, HALF)


def test_statistics_follow_from_the_start(tmp_path):
    path = saved(tmp_path / 'a.pth')
    for init in ('mae', 'augreg', 'deit3'):
        bare = read_bare_vit(path, arch='48x2x3', init=init)
        assert (bare.mean, bare.std) == (start(init).mean, start(init).std)


def test_a_table_of_relative_positions_shows_its_size(tmp_path):
    path = saved(tmp_path / 'a.pth', Beit, img_size=40, use_abs_pos_emb=False, use_rel_pos_bias=True, init_values=0.1)
    bare = read_bare_vit(path, arch='48x2x3')
    assert (bare.vit.grid, bare.vit.rel_pos, bare.mean) == ((5, 5), 'table', HALF)


def test_weights_that_were_fine_tuned_on_the_mean_have_its_norm(tmp_path):
    path = saved(tmp_path / 'a.pth', global_pool='avg')
    bare = read_bare_vit(path, arch='48x2x3')
    stored = torch.load(path)
    assert isinstance(bare.vit.norm, nn.Identity) and torch.equal(bare.fc_norm.weight, stored['fc_norm.weight'])


def test_windows_that_weights_do_not_show(tmp_path):
    state = torch.load(saved(tmp_path / 'a.pth'))
    state |= {f'blocks.{i}.attn.rel_pos_{axis}': torch.ones(7, 16) for i in range(2) for axis in 'hw'}
    torch.save(state, tmp_path / 'a.pth')
    with pytest.raises(UserError, match=r'its blocks attend in windows \(SAM, ViTDet\), and weights do not show which'):
        read_bare_vit(tmp_path / 'a.pth', arch='48x2x3')


def test_what_is_no_vit(tmp_path):
    torch.save({'layer1.0.conv1.weight': torch.ones(8, 3, 3, 3)}, tmp_path / 'a.pth')
    with pytest.raises(UserError, match='no ViT in the weights'):
        read_bare_vit(tmp_path / 'a.pth')
    (tmp_path / 'b.pth').write_bytes(b'hello')
    with pytest.raises(UserError, match='is cut short or is no checkpoint'):
        read_bare_vit(tmp_path / 'b.pth')
