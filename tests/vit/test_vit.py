"""The ViT: tokens of all or kept patches, maps of any size, windows, initialization and training."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from timm.layers import DropPath
from torch import nn

from mae_transfer.errors import UserError
from mae_transfer.vit import ViT
from tests.helpers import enlarge, small_vit


# --- tokens -----------------------------------------------------------------------------------------------------------
def test_tokens_puts_the_class_token_first():
    vit = small_vit()
    images = torch.randn(2, 3, 16, 16)
    assert vit.tokens(images).shape == (2, 1 + 16, 16)
    keep = torch.tensor([[3, 1], [0, 15]])
    assert vit.tokens(images, keep).shape == (2, 1 + 2, 16)
    assert small_vit(class_token=False).tokens(images, keep).shape == (2, 2, 16)


def test_keeping_all_patches_in_another_order_permutes_the_tokens():
    vit, images = enlarge(small_vit()), torch.randn(2, 3, 16, 16)
    order = torch.stack([torch.randperm(16), torch.randperm(16)])
    whole = vit.tokens(images)
    permuted = vit.tokens(images, order)
    torch.testing.assert_close(permuted[:, 0], whole[:, 0], rtol=1e-4, atol=1e-5)
    expected = whole[:, 1:].gather(1, order[..., None].expand(-1, -1, 16))
    torch.testing.assert_close(permuted[:, 1:], expected, rtol=1e-4, atol=1e-5)


def test_kept_patches_are_encoded_as_if_there_were_no_others():
    vit, images = enlarge(small_vit()), torch.randn(1, 3, 16, 16)
    keep = torch.tensor([[5, 10]])
    changed = torch.randn_like(images)
    for row, column in ((1, 1), (2, 2)):
        area = (slice(None), slice(None), slice(4 * row, 4 * row + 4), slice(4 * column, 4 * column + 4))
        changed[area] = images[area]
    assert torch.equal(vit.tokens(images, keep), vit.tokens(changed, keep))


def test_the_position_of_a_kept_patch_matters():
    vit = enlarge(small_vit())
    images = torch.randn(1, 3, 4, 4).repeat(1, 1, 4, 4)  # the same pixels in every patch
    near, far = vit.tokens(images, torch.tensor([[0, 1]])), vit.tokens(images, torch.tensor([[0, 14]]))
    assert (near[:, 2] - far[:, 2]).abs().max() > 0.01


def test_tokens_of_images_larger_than_the_table():
    vit = small_vit()
    assert vit.tokens(torch.randn(1, 3, 20, 28)).shape == (1, 1 + 35, 16)
    assert vit.tokens(torch.randn(1, 3, 20, 28), torch.tensor([[34, 0]])).shape == (1, 3, 16)


@pytest.mark.parametrize('keep', [None, torch.tensor([[0, 1]])])
def test_tokens_refuses_images_that_do_not_divide_into_patches(keep):
    with pytest.raises(ValueError, match='18 x 16'):
        small_vit().tokens(torch.randn(1, 3, 18, 16), keep)


def test_another_number_of_channels_is_refused():
    with pytest.raises(ValueError, match='takes 3 channels'):
        small_vit()(torch.randn(1, 1, 16, 16))


# --- maps -------------------------------------------------------------------------------------------------------------
@settings(deadline=None, max_examples=20)
@given(height=st.integers(1, 30), width=st.integers(1, 30), class_token=st.booleans())
def test_maps_of_any_size_have_the_size_rounded_up(height, width, class_token):
    vit = small_vit(depth=1, class_token=class_token)
    [result] = vit(torch.randn(1, 3, height, width))
    assert result.shape == (1, 16, math.ceil(height / 4), math.ceil(width / 4))
    assert result.isfinite().all()


def test_an_image_that_does_not_divide_is_padded_with_zeros_below_and_right():
    vit, images = enlarge(small_vit()), torch.randn(1, 3, 13, 18)
    padded = torch.zeros(1, 3, 16, 20)
    padded[..., :13, :18] = images
    assert torch.equal(vit(images)[0], vit(padded)[0])


def test_a_map_holds_the_patch_tokens_row_by_row():
    vit, images = enlarge(small_vit()), torch.randn(2, 3, 16, 24)
    expected = vit.tokens(images)[:, 1:].reshape(2, 4, 6, 16).permute(0, 3, 1, 2)
    torch.testing.assert_close(vit(images)[0], expected)


def test_maps_are_the_outputs_of_the_blocks_in_out_indices():
    images = torch.randn(1, 3, 16, 16)
    vit = enlarge(small_vit(out_indices=(0, 2, 3)))
    seen = {}
    for index, block in enumerate(vit.blocks):
        block.register_forward_hook(lambda _, __, output, index=index: seen.__setitem__(index, output))
    first, third, last = vit(images)
    for result, tokens in ((first, seen[0]), (third, seen[2]), (last, vit.norm(seen[3]))):
        torch.testing.assert_close(result.flatten(2).transpose(1, 2), tokens[:, 1:])


def test_negative_out_indices_count_from_the_end():
    assert small_vit(out_indices=(-4, -1)).out_indices == (0, 3)


@pytest.mark.parametrize('depth, expected', [(12, (2, 5, 8, 11)), (6, (1, 2, 3, 5)), (2, (0, 0, 1, 1)), (1, (0,) * 4)])
def test_fractions_in_out_indices_are_shares_of_the_depth(depth, expected):
    fractions = (1 / 4, 1 / 2, 3 / 4, 1.0)
    assert small_vit(depth=depth, out_indices=fractions).out_indices == expected


def test_maps_have_the_order_of_out_indices():
    images = torch.randn(1, 3, 16, 16)
    forwards, backwards = enlarge(small_vit(out_indices=(0, 3))), enlarge(small_vit(out_indices=(-1, 0)))
    for one, other in zip(forwards(images), reversed(backwards(images)), strict=True):
        assert torch.equal(one, other)


def test_blocks_after_the_last_of_out_indices_are_not_computed():
    vit = small_vit(out_indices=(1,))
    vit.blocks[2].register_forward_hook(lambda *_: pytest.fail('block 2 was computed for nothing'))
    vit(torch.randn(1, 3, 16, 16))


def test_without_a_final_norm_the_last_map_is_the_last_block_output():
    vit = small_vit(final_norm=False)
    assert not any(name.startswith('norm.') for name in vit.state_dict())
    seen = []
    vit.blocks[-1].register_forward_hook(lambda _, __, output: seen.append(output))
    [result] = vit(torch.randn(1, 3, 16, 16))
    assert torch.equal(result.flatten(2).transpose(1, 2), seen[0][:, 1:])


# --- windows ----------------------------------------------------------------------------------------------------------
def windowed(**changes) -> ViT:
    return small_vit(**dict(dict(class_token=False, window_size=2), **changes))


def test_a_windowed_model_attends_globally_at_the_end_of_each_quarter():
    assert windowed(depth=8).global_blocks == (1, 3, 5, 7)
    assert [block.window_size for block in windowed(depth=8).blocks] == [2, 0] * 4
    large = ViT(arch=dict(embed_dim=4, depth=24, num_heads=1), class_token=False, window_size=14)
    assert large.global_blocks == (5, 11, 17, 23)


def test_global_blocks_can_be_chosen():
    assert [block.window_size for block in windowed(global_blocks=(0, -1)).blocks] == [0, 2, 2, 0]


def test_patches_attend_only_within_their_window():
    images = torch.randn(1, 3, 16, 16)
    changed = images.clone()
    changed[..., :8, :8] = torch.randn(8, 8)  # the upper left window of 2 x 2 patches
    vit = enlarge(windowed(global_blocks=()))
    difference = (vit(images)[0] - vit(changed)[0]).abs().amax(dim=(0, 1))
    assert (difference[:2, :2] > 1e-3).all()
    assert difference[2:].max() == 0 and difference[:, 2:].max() == 0


def test_in_a_global_block_every_patch_attends_to_all():
    images = torch.randn(1, 3, 16, 16)
    changed = images.clone()
    changed[..., :8, :8] = torch.randn(8, 8)
    vit = enlarge(windowed())
    assert ((vit(images)[0] - vit(changed)[0]).abs().amax(dim=(0, 1)) > 1e-4).all()


def test_windows_that_cover_the_grid_change_nothing():
    images = torch.randn(2, 3, 16, 16)
    plain, covered = enlarge(small_vit(class_token=False)), enlarge(windowed(window_size=4))
    torch.testing.assert_close(plain(images)[0], covered(images)[0])


# --- initialization ---------------------------------------------------------------------------------------------------
@pytest.fixture(scope='module')
def fresh():
    torch.manual_seed(0)
    return ViT(arch=dict(embed_dim=192, depth=2, num_heads=3), img_size=64)


@pytest.mark.parametrize(
    'name, fan_in, fan_out',
    [
        ('blocks.0.attn.qkv', 192, 3 * 192),
        ('blocks.1.attn.proj', 192, 192),
        ('blocks.0.mlp.fc1', 192, 768),
        ('blocks.1.mlp.fc2', 768, 192),
        ('patch_embed.proj', 3 * 16 * 16, 192),
    ],
)
def test_linear_layers_start_xavier_uniform(fresh, name, fan_in, fan_out):
    weight = fresh.get_submodule(name).weight
    bound = math.sqrt(6 / (fan_in + fan_out))
    assert weight.abs().max().item() <= bound
    assert weight.abs().max().item() > 0.999 * bound
    assert weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.02)
    assert abs(weight.mean().item()) < 0.01 * bound


def test_biases_start_at_zero_except_in_the_patch_embedding(fresh):
    for name, value in fresh.named_parameters():
        if name.endswith('bias') and 'norm' not in name:
            if name == 'patch_embed.proj.bias':
                assert 0 < value.abs().max() <= 1 / math.sqrt(3 * 16 * 16) and value.count_nonzero() == 192
            else:
                assert value.count_nonzero() == 0, name


def test_norms_start_as_identity_with_the_epsilon_of_mae(fresh):
    norms = [module for module in fresh.modules() if isinstance(module, nn.LayerNorm)]
    assert len(norms) == 2 * 2 + 1
    for norm in norms:
        assert norm.eps == 1e-6
        assert (norm.weight == 1).all() and (norm.bias == 0).all()


def test_the_class_token_starts_with_a_standard_deviation_of_two_hundredths():
    torch.manual_seed(0)
    tokens = torch.cat([small_vit(depth=1).cls_token for _ in range(100)])
    assert tokens.std().item() == pytest.approx(0.02, rel=0.06)  # 1600 values: 3.4 standard errors
    assert abs(tokens.mean().item()) < 0.002


def test_positions_are_fixed_unless_learned():
    assert not small_vit().pos_embed.requires_grad
    assert small_vit(learn_positions=True).pos_embed.requires_grad


@pytest.mark.parametrize(
    'source', [None, dict(type='Pretrained', checkpoint=None), dict(type='Pretrained', checkpoint='none')]
)
def test_no_checkpoint_means_random_weights(source):
    vit = small_vit(init_cfg=source)
    before = {name: value.clone() for name, value in vit.state_dict().items()}
    vit.init_weights()
    assert all(torch.equal(value, before[name]) for name, value in vit.state_dict().items())


def test_init_cfg_loads_the_checkpoint_once(tmp_path):
    source, vit = enlarge(small_vit()), None
    torch.save(source.state_dict(), tmp_path / 'vit.pth')
    vit = small_vit(init_cfg=dict(type='Pretrained', checkpoint=str(tmp_path / 'vit.pth')))
    vit.init_weights()
    for name, value in source.state_dict().items():
        assert torch.equal(vit.state_dict()[name], value), name
    enlarge(vit)
    trained = vit.norm.weight.clone()
    vit.init_weights()
    assert torch.equal(vit.norm.weight, trained)


# --- training ---------------------------------------------------------------------------------------------------------
def test_every_parameter_gets_a_gradient():
    vit = small_vit(learn_positions=True, out_indices=(0, 1, 2, 3))
    sum(m.square().sum() for m in vit(torch.randn(2, 3, 16, 16))).backward()
    assert all(value.grad.abs().sum() > 0 for value in vit.parameters())


def test_drop_path_rises_linearly_from_zero_to_the_rate():
    vit = small_vit(depth=5, drop_path_rate=0.4)
    assert isinstance(vit.blocks[0].drop_path1, nn.Identity) and isinstance(vit.blocks[0].drop_path2, nn.Identity)
    for index in range(1, 5):
        for branch in (vit.blocks[index].drop_path1, vit.blocks[index].drop_path2):
            assert isinstance(branch, DropPath)
            assert branch.drop_prob == pytest.approx(0.1 * index)


def test_drop_path_is_off_by_default():
    assert not any(isinstance(module, DropPath) for module in small_vit().modules())


def test_drop_path_is_random_in_training_and_off_in_evaluation():
    vit, images = enlarge(small_vit(drop_path_rate=0.5)), torch.randn(8, 3, 16, 16)
    torch.manual_seed(0)
    vit.train()
    assert not torch.allclose(vit.tokens(images), vit.tokens(images))
    vit.eval()
    assert torch.equal(vit.tokens(images), vit.tokens(images))
    torch.testing.assert_close(vit.tokens(images), enlarge(small_vit()).tokens(images))


@pytest.mark.parametrize('changes', [dict(), dict(class_token=False, window_size=3)], ids=['plain', 'windowed'])
def test_recomputing_blocks_changes_neither_outputs_nor_gradients(changes):
    images, results = torch.randn(4, 3, 16, 16), []
    for recompute in (False, True):
        vit = enlarge(small_vit(drop_path_rate=0.5, learn_positions=True, grad_checkpoint=recompute, **changes)).train()
        torch.manual_seed(3)
        output = vit(images)[0]
        output.square().sum().backward()
        results.append((output.detach(), {name: value.grad for name, value in vit.named_parameters()}, torch.rand(1)))
    (plain, plain_grads, plain_next), (recomputed, grads, following) = results
    assert torch.equal(plain, recomputed)
    assert torch.equal(plain_next, following)
    for name in plain_grads:
        torch.testing.assert_close(grads[name], plain_grads[name], rtol=1e-6, atol=1e-6)


def test_grad_checkpoint_really_recomputes():
    vit, calls = small_vit(grad_checkpoint=True).train(), []
    vit.blocks[0].mlp.register_forward_pre_hook(lambda *_: calls.append(1))
    output = vit.tokens(torch.randn(1, 3, 16, 16)).sum()
    assert len(calls) == 1
    output.backward()
    assert len(calls) == 2


@pytest.mark.parametrize('frozen', [1, 3])
def test_frozen_blocks_and_embeddings_keep_their_values(frozen):
    vit = enlarge(small_vit(frozen_blocks=frozen, learn_positions=True))
    before = {name: value.clone() for name, value in vit.state_dict().items()}
    optimizer = torch.optim.AdamW(vit.parameters(), lr=0.1, weight_decay=0.5)
    vit.tokens(torch.randn(2, 3, 16, 16)).square().sum().backward()
    optimizer.step()
    leading = ('patch_embed.', 'cls_token', 'pos_embed', *(f'blocks.{i}.' for i in range(frozen)))
    for name, value in vit.named_parameters():
        if name.startswith(leading):
            assert value.grad is None and torch.equal(value, before[name]), name
        else:
            assert not torch.equal(value, before[name]), name


def test_frozen_blocks_stay_in_evaluation_mode():
    vit = small_vit(frozen_blocks=2, drop_path_rate=0.9).train()
    assert [block.training for block in vit.blocks] == [False, False, True, True]
    assert not vit.blocks[1].drop_path1.training
    nn.Sequential(vit).train()
    assert not vit.blocks[1].training


def test_without_frozen_blocks_all_is_trained():
    assert all(block.training for block in small_vit().train().blocks)
    assert all(value.requires_grad for name, value in small_vit().named_parameters() if name != 'pos_embed')


# --- sizes and errors -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    'name, millions', [('tiny', 5.5), ('small', 21.7), ('base', 85.8), ('large', 303.3), ('huge', 630.8)]
)
def test_named_sizes_have_the_parameter_counts_of_their_papers(name, millions):
    with torch.device('meta'):
        vit = ViT(arch=name)
    assert sum(parameter.numel() for parameter in vit.parameters()) / 1e6 == pytest.approx(millions, abs=0.06)


def test_parameter_names_are_timms():
    from timm.models.vision_transformer import VisionTransformer

    theirs = VisionTransformer(img_size=16, patch_size=4, embed_dim=16, depth=4, num_heads=2, num_classes=0)
    shapes = {name: value.shape for name, value in theirs.state_dict().items()}
    assert {name: value.shape for name, value in small_vit().state_dict().items()} == shapes


def test_equals_timm_with_the_same_weights():
    from timm.models.vision_transformer import VisionTransformer

    theirs = VisionTransformer(img_size=16, patch_size=4, embed_dim=16, depth=4, num_heads=2, num_classes=0)
    ours, images = enlarge(small_vit()), torch.randn(2, 3, 16, 16)
    theirs.load_state_dict(ours.state_dict())
    torch.testing.assert_close(ours.tokens(images), theirs.forward_features(images), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    'changes, words',
    [
        (dict(img_size=18), r'img_size 18 x 18 is not divisible by patch_size 4: .* 16 x 16'),
        (dict(img_size=(16, 18)), 'img_size 16 x 18'),
        (dict(img_size=2), 'e.g. 4 x 4'),
        (dict(window_size=2), 'class_token=False'),
        (dict(out_indices=(4,)), 'block 4 does not exist in a ViT of depth 4'),
        (dict(out_indices=(0, -5)), 'block -5 does not exist'),
        (dict(class_token=False, window_size=2, global_blocks=(9,)), 'global_blocks .*block 9'),
        (dict(frozen_blocks=5), r'frozen_blocks must be in 0\.\.4; found 5'),
        (dict(frozen_blocks=-1), 'found -1'),
        (dict(depth=5, class_token=False, window_size=2), 'no four equal quarters'),
    ],
)
def test_bad_settings_are_refused_in_one_line(changes, words):
    with pytest.raises(UserError, match=words) as caught:
        small_vit(**changes)
    assert '\n' not in str(caught.value)


def test_a_windowed_model_refuses_a_subset_of_patches():
    vit = ViT(dict(embed_dim=16, depth=4, num_heads=2), img_size=32, patch_size=8, class_token=False, window_size=2)
    with pytest.raises(UserError, match='takes whole images only'):
        vit.tokens(torch.randn(1, 3, 32, 32), torch.tensor([[0, 1]]))
