"""The decoder: mask tokens at their positions, predictions in the order of the mask."""

import math

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from mae_transfer.pretraining import MAEDecoder, RandomMasking
from mae_transfer.vit.position import sincos_table
from tests.helpers import enlarge


def small_decoder(**changes) -> MAEDecoder:
    return MAEDecoder(**dict(dict(in_dim=12, grid=(4, 4), out_dim=6, embed_dim=16, depth=2, num_heads=2), **changes))


def random_mask(batch: int = 2, grid: tuple[int, int] = (4, 4)):
    return RandomMasking(0.75)(grid, torch.rand(batch, grid[0] * grid[1]))


def as_the_paper_describes(decoder: MAEDecoder, tokens, mask):
    """The official order of steps: append mask tokens, sort patches into image order, add positions, apply blocks, norm
    and prediction, drop the class token."""
    x = decoder.embed(tokens)
    mask_tokens = decoder.mask_token.expand(len(x), mask.masked.shape[1], -1)
    restore = torch.cat([mask.keep, mask.masked], dim=1).argsort(dim=1)
    patches = torch.cat([x[:, 1:], mask_tokens], dim=1).gather(1, restore[..., None].expand(-1, -1, x.shape[-1]))
    x = torch.cat([x[:, :1], patches], dim=1) + decoder.pos_embed
    for block in decoder.blocks:
        x = block(x)
    return decoder.pred(decoder.norm(x))[:, 1:]


def test_predictions_everywhere_equal_those_of_a_sequence_in_image_order():
    decoder, mask, tokens = enlarge(small_decoder()), random_mask(), torch.randn(2, 5, 12)
    found = decoder(tokens, mask, (4, 4), everywhere=True)
    assert found.shape == (2, 16, 6)
    assert_close(found, as_the_paper_describes(decoder, tokens, mask), rtol=1e-4, atol=1e-5)


def test_predictions_of_masked_patches_are_in_the_order_of_the_mask():
    decoder, mask, tokens = enlarge(small_decoder()), random_mask(), torch.randn(2, 5, 12)
    found = decoder(tokens, mask, (4, 4))
    expected = as_the_paper_describes(decoder, tokens, mask).gather(1, mask.masked[..., None].expand(-1, -1, 6))
    assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_the_order_of_kept_patches_does_not_matter():
    decoder, mask, tokens = enlarge(small_decoder()), random_mask(), torch.randn(2, 5, 12)
    order = torch.tensor([2, 0, 3, 1])
    other = mask._replace(keep=mask.keep[:, order])
    shuffled = torch.cat([tokens[:, :1], tokens[:, 1:][:, order]], dim=1)
    assert_close(decoder(tokens, mask, (4, 4)), decoder(shuffled, other, (4, 4)), rtol=1e-4, atol=1e-5)


def test_only_its_position_distinguishes_a_masked_patch():
    decoder, mask, tokens = enlarge(small_decoder()), random_mask(1), torch.randn(1, 5, 12)
    with_positions = decoder(tokens, mask, (4, 4))
    assert (with_positions[0, 0] - with_positions[0, 1]).abs().max() > 0.01
    nn.init.zeros_(decoder.pos_embed)
    without = decoder(tokens, mask, (4, 4))
    assert_close(without, without[:, :1].expand_as(without))


def test_another_grid_gets_resized_positions():
    decoder, mask = small_decoder(), random_mask(2, (3, 6))
    assert decoder(torch.randn(2, 1 + mask.keep.shape[1], 12), mask, (3, 6)).shape == (2, 14, 6)


def test_positions_are_the_fixed_sincos_table():
    decoder = small_decoder(grid=(2, 5))
    assert torch.equal(decoder.pos_embed, sincos_table(16, (2, 5)))
    assert not decoder.pos_embed.requires_grad


def test_every_other_parameter_gets_a_gradient():
    decoder, mask = enlarge(small_decoder()), random_mask()
    decoder(torch.randn(2, 5, 12), mask, (4, 4)).square().sum().backward()
    for name, parameter in decoder.named_parameters():
        assert name == 'pos_embed' or parameter.grad.abs().sum() > 0, name


def test_the_epsilon_of_norms_is_1e_6():
    norms = [module for module in small_decoder().modules() if isinstance(module, nn.LayerNorm)]
    assert len(norms) == 5 and all(norm.eps == 1e-6 for norm in norms)


def test_weights_are_initialised_as_in_mae():
    torch.manual_seed(0)
    decoder = MAEDecoder(in_dim=64, grid=(2, 2), out_dim=48, embed_dim=256, depth=1, num_heads=4)
    for linear in (decoder.embed, decoder.pred, decoder.blocks[0].attn.qkv):
        bound = math.sqrt(6 / (linear.in_features + linear.out_features))
        assert 0.99 * bound < linear.weight.abs().max().item() <= bound
        assert linear.bias.count_nonzero() == 0
    assert decoder.mask_token.std().item() == pytest.approx(0.02, rel=0.15)


def test_the_paper_s_decoder_is_the_default():
    with torch.device('meta'):
        decoder = MAEDecoder(in_dim=1024, grid=(1, 1), out_dim=768)
    assert decoder.embed.out_features == 512 and len(decoder.blocks) == 8
    assert decoder.blocks[0].attn.num_heads == 16 and decoder.blocks[0].mlp.fc1.out_features == 2048
