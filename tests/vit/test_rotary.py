"""Rotary positions: the plain formula, over whole images, within windows and of the kept patches."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from mae_transfer.errors import UserError
from mae_transfer.vit import ViT
from mae_transfer.vit.attention import Attention
from mae_transfer.vit.rotary import Rotary
from tests.vit.weights.test_checkpoint import randomize

KINDS = ('eva02', 'dinov3')
DIM, HEADS, HEAD_DIM, TRAINED = 32, 2, 16, (4, 4)


def turned(x: torch.Tensor, row: int, column: int, image: tuple[int, int], kind: str) -> torch.Tensor:
    """A query or key (d) of the patch at (row, column) of an image of (rows, columns), one pair of channels after the
    other, as the papers write it."""
    result = x.clone()
    quarter = len(x) // 4
    for i in range(2 * quarter):
        axis = i // quarter
        number = (row, column)[axis]
        if kind == 'eva02':
            angle = number * TRAINED[axis] / image[axis] * 10000 ** (-(i % quarter) / quarter)
            first, second = 2 * i, 2 * i + 1
        else:
            angle = 2 * math.pi * (2 * (number + 0.5) / image[axis] - 1) * 100 ** (-(i % quarter) / quarter)
            first, second = i, i + 2 * quarter
        result[first] = x[first] * math.cos(angle) - x[second] * math.sin(angle)
        result[second] = x[first] * math.sin(angle) + x[second] * math.cos(angle)
    return result


def plain_attention(q, k, v, places, image, kind):
    """Queries, keys and values (N, d) of patches at ``places`` of an image to attended values."""
    q = torch.stack([turned(x, *place, image, kind) for x, place in zip(q, places)])
    k = torch.stack([turned(x, *place, image, kind) for x, place in zip(k, places)])
    return (q @ k.T / math.sqrt(q.shape[1])).softmax(-1) @ v


def rotary_vit(kind: str, **changes) -> ViT:
    settings = dict(dict(img_size=32, patch_size=8, class_token=False, final_norm=False), **changes)
    return randomize(ViT('32x1x2', design=dict(rotary=kind), **settings)).double().eval()


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('grid, window', [((4, 4), 0), ((2, 5), 0), ((4, 6), 2), ((5, 4), 3)], ids=str)
def test_equals_the_plain_formula(kind, grid, window):
    """In windows the places are those of the image, also of the padding at its bottom and right, which ends the last
    windows: only offsets matter."""
    windows = dict(window_size=window, global_blocks=()) if window else {}
    vit = rotary_vit(kind, **windows)
    attention, seen = vit.blocks[0].attn, []
    attention.proj.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    attention.qkv.register_forward_hook(lambda module, inputs, output: seen.append(output))
    rows, columns = grid
    vit.tokens(torch.randn(1, 3, rows * 8, columns * 8, dtype=torch.float64))
    qkv, found = seen[0].reshape(rows, columns, 3, HEADS, HEAD_DIM), seen[1].reshape(rows, columns, HEADS, HEAD_DIM)
    padding = attention.qkv.bias.detach().reshape(3, HEADS, HEAD_DIM)
    side_rows, side_columns = (window, window) if window else grid
    for top in range(0, rows, side_rows):
        for left in range(0, columns, side_columns):
            places = [(top + r, left + c) for r in range(side_rows) for c in range(side_columns)]
            inside = [r < rows and c < columns for r, c in places]
            tokens = torch.stack([qkv[p] if is_in else padding for p, is_in in zip(places, inside)])
            for head in range(HEADS):
                q, k, v = tokens[:, :, head].unbind(1)
                expected = plain_attention(q, k, v, places, grid, kind)
                for place, is_in, value in zip(places, inside, expected):
                    if is_in:
                        # angles are computed in float32
                        torch.testing.assert_close(found[place][head], value, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    'design', [dict(rotary='eva02'), 'dinov3', dict(like='eva02', registers=2, qk_norm=True)], ids=str
)
def test_kept_patches_are_those_of_an_image_in_which_only_they_are_seen(design, monkeypatch):
    vit = randomize(ViT('32x2x2', design=design, img_size=32, patch_size=8)).eval()
    images, keep = torch.randn(1, 3, 32, 48), torch.tensor([[17, 3, 8, 22, 5]])
    found = vit.tokens(images, keep)
    assert not torch.allclose(found[:, 1:], vit.tokens(images, keep.flip(1))[:, 1:])  # the order is that of ``keep``
    seen = torch.cat([torch.arange(vit.num_special), vit.num_special + keep[0]])

    def attend(self, q, k, v, grid=None, table=None):
        mask = torch.zeros(q.shape[2], q.shape[2], dtype=torch.bool).index_fill(1, seen, True)
        return F.scaled_dot_product_attention(q, k, v, mask)

    monkeypatch.setattr(Attention, 'attend', attend)
    expected = vit.tokens(images)[:, torch.cat([torch.arange(1), 1 + keep[0]])]
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('kind', KINDS)
def test_products_depend_on_the_offset_alone(kind):
    rotary = Rotary(kind, HEAD_DIM, TRAINED)
    q, k = torch.randn(1, 1, 1, HEAD_DIM), torch.randn(1, 1, 1, HEAD_DIM)
    turn = rotary.turn(rotary.angles((4, 6), (4, 6)))
    products = (turn(q.expand(-1, -1, 24, -1)) @ turn(k.expand(-1, -1, 24, -1)).mT)[0, 0].reshape(4, 6, 4, 6)
    torch.testing.assert_close(products[:3, :, 1:, :][0, 2, 0, 4], products[2, 1, 3, 3], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(products[1, 1, 0, 0], products[3, 5, 2, 4], rtol=1e-4, atol=1e-4)
    assert (products[0, 0, 0, 1] - products[0, 1, 0, 0]).abs() > 1e-3


def test_heads_of_other_widths_and_settings_without_effect_are_refused():
    with pytest.raises(UserError, match='multiple of 4 channels; found 6'):
        ViT('12x1x2', design=dict(rotary='eva02'))
    with pytest.raises(UserError, match='rotary_img_size=64 has no effect'):
        ViT('32x1x2', design='dinov3', rotary_img_size=64)
