"""Attention and windows."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from mae_transfer.vit.attention import Attention, join_windows, split_windows
from mae_transfer.vit.block import Block
from mae_transfer.vit.design import resolve_design
from mae_transfer.vit.places import Places
from tests.helpers import enlarge

grids = st.tuples(st.integers(1, 9), st.integers(1, 9))


def test_attention_is_the_softmax_of_scaled_products():
    attention, x = enlarge(Attention(8, 2)), torch.randn(2, 5, 8)
    q, k, v = attention.qkv(x).split(8, dim=-1)
    heads = []
    for head in (slice(0, 4), slice(4, 8)):
        weights = (q[..., head] @ k[..., head].transpose(1, 2) / 2).softmax(dim=-1)  # 2 = sqrt(4)
        heads.append(weights @ v[..., head])
    torch.testing.assert_close(attention(x), attention.proj(torch.cat(heads, dim=-1)))


def test_a_block_adds_attention_then_mlp_each_after_its_norm():
    block, x = enlarge(Block(8, 2)), torch.randn(2, 5, 8)
    middle = x + block.attn(block.norm1(x))
    torch.testing.assert_close(block(x), middle + block.mlp.fc2(nn.functional.gelu(block.mlp.fc1(block.norm2(middle)))))


def test_the_mlp_ratio_gives_the_hidden_width():
    assert Block(8, 2, mlp_ratio=2.5).mlp.fc1.weight.shape == (20, 8)


def test_norms_have_an_epsilon_of_a_millionth():
    block = Block(8, 2)
    assert block.norm1.eps == block.norm2.eps == 1e-6


@settings(deadline=None, max_examples=30)
@given(grid=grids, size=st.integers(1, 5), batch=st.integers(1, 3))
def test_joining_windows_undoes_splitting(grid, size, batch):
    x = torch.randn(batch, grid[0] * grid[1], 3)
    windows = split_windows(x, grid, size, torch.zeros(3))
    assert windows.shape == (batch * -(-grid[0] // size) * -(-grid[1] // size), size * size, 3)
    assert torch.equal(join_windows(windows, grid, size), x)


def test_a_window_holds_a_square_of_neighbours():
    x = torch.arange(24.0).reshape(1, 24, 1)  # 4 rows of 6
    windows = split_windows(x, (4, 6), 2, torch.zeros(1))[..., 0]
    assert windows[1].tolist() == [2, 3, 8, 9]
    assert windows[-1].tolist() == [16, 17, 22, 23]


def test_a_grid_that_does_not_divide_is_padded_with_the_given_token():
    windows = split_windows(torch.ones(1, 9, 2), (3, 3), 2, torch.tensor([0.0, 7.0]))
    assert windows[..., 0].tolist() == [[1, 1, 1, 1], [1, 0, 1, 0], [1, 1, 0, 0], [1, 0, 0, 0]]
    assert windows[..., 1].tolist() == [[1, 1, 1, 1], [1, 7, 1, 7], [1, 1, 7, 7], [1, 7, 7, 7]]


@settings(deadline=None, max_examples=10)
@given(side=st.integers(1, 6))
def test_a_window_over_the_whole_grid_is_plain_attention(side):
    plain, windowed = enlarge(Block(8, 2)), enlarge(Block(8, 2, window_size=side))
    x = torch.randn(2, side * side, 8)
    torch.testing.assert_close(windowed(x, Places((side, side))), plain(x))


def test_a_change_in_one_window_does_not_affect_the_others():
    block, x = enlarge(Block(8, 2, window_size=2)), torch.randn(1, 24, 8)
    changed = x.clone()
    changed[:, 9] = torch.randn(8)  # row 1, column 3 of a 4 x 6 grid: rows 0-1, columns 2-3
    difference = (block(x, Places((4, 6))) - block(changed, Places((4, 6)))).abs().amax(dim=(0, 2)).reshape(4, 6)
    assert (difference[:2, 2:4] > 0).all()
    difference[:2, 2:4] = 0
    assert difference.max() == 0


def test_padding_is_zero_after_the_norm_and_takes_part_in_attention():
    block, x = enlarge(Block(8, 2, window_size=2)), torch.randn(1, 3, 8)  # a 1 x 3 grid in two windows
    normed = torch.cat([block.norm1(x).reshape(1, 3, 8), torch.zeros(1, 1, 8)], dim=1)
    window = torch.cat([normed[:, 2:4], torch.zeros(1, 2, 8)], dim=1)  # the second window: one patch, three of padding
    middle = x[:, 2:] + block.attn(window)[:, :1]
    torch.testing.assert_close(block(x, Places((1, 3)))[:, 2:], middle + block.mlp(block.norm2(middle)))


@pytest.mark.parametrize('window', [0, 2])
def test_drop_path_drops_whole_branches_of_an_image_and_rescales(window):
    torch.manual_seed(0)
    block = enlarge(Block(8, 2, drop_path=0.5, window_size=window)).train()
    block.drop_path2 = nn.Identity()
    nn.init.zeros_(block.mlp.fc2.weight), nn.init.zeros_(block.mlp.fc2.bias)  # the attention branch alone
    x = torch.randn(1, 4, 8).expand(400, -1, -1)
    change = block(x, Places((2, 2))) - x
    branch = block.eval()(x[:1], Places((2, 2))) - x[:1]
    dropped = change.abs().amax(dim=(1, 2)) == 0
    assert 0.4 < dropped.float().mean().item() < 0.6
    torch.testing.assert_close(change[~dropped], (2 * branch).expand_as(change[~dropped]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    'design', [{}, dict(qkv_bias='qv'), dict(qkv_bias=''), dict(qk_norm=True, attention_norm=True)]
)
@settings(deadline=None, max_examples=10)
@given(first=st.integers(0, 6))
def test_the_last_tokens_alone_are_what_they_are_among_all(design, first):
    block = enlarge(Block(8, 2, design=resolve_design(design)))
    whole, part = (torch.randn(2, 7, 8, generator=torch.Generator().manual_seed(first)).requires_grad_() for _ in '12')
    expected, found = block(whole)[:, first:], block(part, first=first)
    torch.testing.assert_close(found, expected)
    found.square().sum().backward()
    expected.square().sum().backward()
    torch.testing.assert_close(part.grad, whole.grad, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('tokens', [5, 50, 700])
def test_attention_of_half_precision_on_a_cpu_is_as_exact_as_its_type(tokens):
    q, k, v = torch.randn(3, 1, 2, tokens, 64).bfloat16().unbind()
    exact = Attention(128, 2).attend(q.double(), k.double(), v.double())
    found = Attention(128, 2).attend(q.requires_grad_(), k, v)
    assert found.dtype is torch.bfloat16
    assert (found - exact).abs().max() < 2**-7 * exact.abs().max()  # two units in the last place of the largest
