"""Every form of attention with relative positions equals the plain formula, in value and in all gradients."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from mae_transfer.vit import tiled_attention
from mae_transfer.vit.attention import Attention
from mae_transfer.vit.places import Places
from mae_transfer.vit.position_tables import is_rel_pos_table, resize_axis_table, resize_offset_table, zero_offset_table
from mae_transfer.vit.relative_position import (
    DecomposedAttention,
    TableAttention,
    expand_to_pairs,
    longer_product_attention,
    make_attention,
)

grids = st.tuples(st.integers(1, 6), st.integers(1, 6))
close = dict(rtol=1e-9, atol=1e-9)


def plain_decomposed(
    q: Tensor, k: Tensor, v: Tensor, table_h: Tensor, table_w: Tensor, grid: tuple[int, int]
) -> Tensor:
    """The formula, evaluated for each pair."""
    places = [(row, column) for row in range(grid[0]) for column in range(grid[1])]
    rows = table_h[torch.tensor([[a - c + grid[0] - 1 for c, _ in places] for a, _ in places])]
    columns = table_w[torch.tensor([[b - d + grid[1] - 1 for _, d in places] for _, b in places])]
    scores = q @ k.mT * q.shape[-1] ** -0.5 + torch.einsum('bhnd,nmd->bhnm', q, rows + columns)
    return scores.softmax(-1) @ v


def plain_table(q: Tensor, k: Tensor, v: Tensor, table: Tensor, grid: tuple[int, int], num_prefix: int) -> Tensor:
    """The formula, evaluated for each pair; the last three entries: class to patch, patch to class, class to class."""
    places = [None] * num_prefix + [(row, column) for row in range(grid[0]) for column in range(grid[1])]

    def entry(one, other):
        if one and other:
            return (one[0] - other[0] + grid[0] - 1) * (2 * grid[1] - 1) + one[1] - other[1] + grid[1] - 1
        return len(table) + (-3 if other else -2 if one else -1)

    bias = table[torch.tensor([[entry(one, other) for other in places] for one in places])].permute(2, 0, 1)
    return (q @ k.mT * q.shape[-1] ** -0.5 + bias).softmax(-1) @ v


def inputs(batch: int, heads: int, length: int, dim: int, *tables: tuple[int, ...]) -> list[Tensor]:
    """Random queries, keys and values, which are slices of one tensor as in attention, and random tables."""
    qkv = torch.randn(batch, length, 3, heads, dim, dtype=torch.float64).permute(2, 0, 3, 1, 4)
    return [t.detach().requires_grad_() for t in (*qkv, *(torch.randn(t, dtype=torch.float64) for t in tables))]


def assert_equal_with_gradients(form, reference, leaves: list[Tensor]) -> None:
    found, expected = form(*leaves), reference(*leaves)
    torch.testing.assert_close(found, expected, **close)
    weight = torch.randn_like(expected)
    gradients = (torch.autograd.grad((out * weight).sum(), leaves) for out in (found, expected))
    for one, other in zip(*gradients):
        torch.testing.assert_close(one, other, **close)


@pytest.fixture(params=[7, 40, 10**6], ids=['tiny tiles', 'small tiles', 'one tile'], scope='module')
def tiles(request):
    """Tiles with boundaries at all kinds of places: within a row, after the class token, between heads and images."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiled_attention, '_SCORES', dict(cpu=request.param * 5))
        patch.setattr(tiled_attention, '_LEAST_QUERIES', min(request.param, 128))
        yield


@pytest.mark.usefixtures('tiles')
@settings(deadline=None, max_examples=10)
@given(grid=grids, batch=st.integers(1, 3), heads=st.integers(1, 3), dim=st.sampled_from([3, 8]), longer=st.booleans())
def test_decomposed_equals_the_formula(grid, batch, heads, dim, longer):
    attention = DecomposedAttention(heads * dim, heads, grid)

    def form(q, k, v, table_h, table_w):
        if longer:
            tables = (expand_to_pairs(table, side) for table, side in zip((table_h, table_w), grid))
            return longer_product_attention(q, k, v, *tables)
        del attention.rel_pos_h, attention.rel_pos_w
        attention.rel_pos_h, attention.rel_pos_w = table_h, table_w
        return attention.attend(q, k, v, grid)

    leaves = inputs(batch, heads, grid[0] * grid[1], dim, *((2 * side - 1, dim) for side in grid))
    assert_equal_with_gradients(form, lambda *leaves: plain_decomposed(*leaves, grid), leaves)


@pytest.mark.usefixtures('tiles')
@settings(deadline=None, max_examples=10)
@given(grid=grids, batch=st.integers(1, 3), heads=st.integers(1, 3), num_prefix=st.integers(0, 1))
def test_a_table_equals_the_formula(grid, batch, heads, num_prefix):
    attention = TableAttention(heads * 4, heads, grid, num_prefix, shared=True)
    leaves = inputs(batch, heads, num_prefix + grid[0] * grid[1], 4, zero_offset_table(grid, heads, num_prefix).shape)
    assert_equal_with_gradients(
        lambda q, k, v, table: attention.attend(q, k, v, grid, table),
        lambda *leaves: plain_table(*leaves, grid, num_prefix),
        leaves,
    )


@pytest.mark.parametrize('kind', ['decomposed', 'table', 'longer'])
@pytest.mark.parametrize('dtype, tolerance', [(torch.bfloat16, 0.03), (torch.float16, 0.01)], ids=str)
def test_half_precision_is_close_to_the_formula(kind, dtype, tolerance):
    """As under autocast: queries in half precision, tables in float32; each gradient has the dtype of its tensor."""
    grid, heads, dim = (5, 6), 2, 16
    q, k, v = (t.detach().to(dtype).requires_grad_() for t in inputs(2, heads, 30, dim))
    if kind == 'table':
        attention = TableAttention(heads * dim, heads, grid)
        tables = [attention.relative_position_bias_table]
    else:
        attention = DecomposedAttention(heads * dim, heads, grid)
        tables = [attention.rel_pos_h, attention.rel_pos_w]
    for table in tables:
        torch.nn.init.normal_(table, std=0.3)
    with torch.autocast('cpu', dtype):
        if kind == 'longer':
            pairs = (expand_to_pairs(table, side).to(dtype) for table, side in zip(tables, grid))
            found = longer_product_attention(q, k, v, *pairs)
        else:
            found = attention.attend(q, k, v, grid)
    exact = [t.detach().double().requires_grad_() for t in (q, k, v, *tables)]
    expected = plain_table(*exact, grid, 0) if kind == 'table' else plain_decomposed(*exact, grid)
    weight = torch.randn_like(expected)
    gradients = torch.autograd.grad((found * weight).sum(), (q, k, v, *tables))
    assert found.dtype == dtype and [g.dtype for g in gradients] == [dtype] * 3 + [torch.float32] * len(tables)
    for one, other in zip((found, *gradients), (expected, *torch.autograd.grad((expected * weight).sum(), exact))):
        assert (one - other).abs().max() < tolerance * other.abs().max()


@pytest.mark.parametrize('kind', ['decomposed', 'table'])
def test_no_tensor_of_all_pairs_is_stored(kind):
    heads, grid, kept = 2, (12, 12), []
    attention = make_attention(kind, 16, heads, grid, 0)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.numel()) or t, lambda t: t):
        attention(torch.randn(1, 144, 16), Places(grid)).sum().backward()
    assert max(kept) < 144 * 144 / 2
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.numel()) or t, lambda t: t):
        q, k, v, *tables = inputs(1, heads, 144, 8, (23, 8), (23, 8))
        plain_decomposed(q, k, v, *tables, grid).sum().backward()
    assert max(kept) >= heads * 144 * 144


@pytest.mark.parametrize('kind, num_prefix', [('decomposed', 0), ('shared', 0), ('table', 1)])
def test_tables_of_zeros_give_plain_attention(kind, num_prefix):
    attention, x = make_attention(kind, 16, 2, (3, 4), num_prefix), torch.randn(2, 12 + num_prefix, 16)
    table = zero_offset_table((3, 4), 2) if kind == 'shared' else None
    torch.testing.assert_close(attention(x, Places((3, 4), table)), Attention.forward(without_positions(attention), x))


def without_positions(attention: Attention) -> Attention:
    plain = Attention(16, 2)
    plain.load_state_dict({name: value for name, value in attention.state_dict().items() if not is_rel_pos_table(name)})
    return plain


# --- other sizes ------------------------------------------------------------------------------------------------------
def test_axis_tables_are_resized_linearly_and_keep_their_middle():
    table = torch.randn(7, 3)
    assert resize_axis_table(table, 4) is table
    expected = F.interpolate(table.T[None], size=11, mode='linear', align_corners=False)[0].T
    torch.testing.assert_close(resize_axis_table(table, 6), expected)
    torch.testing.assert_close(resize_axis_table(table, 6)[5], table[3])
    assert resize_axis_table(table, 1).shape == (1, 3)


@pytest.mark.parametrize('num_prefix', [0, 1])
def test_offset_tables_are_resized_except_for_the_entries_of_the_class_token(num_prefix):
    table = torch.randn(5 * 7 + 3 * num_prefix, 2)
    assert resize_offset_table(table, (3, 4), (3, 4), num_prefix) is table
    resized = resize_offset_table(table, (3, 4), (5, 2), num_prefix)
    assert resized.shape == (9 * 3 + 3 * num_prefix, 2)
    torch.testing.assert_close(resized[:27].unflatten(0, (9, 3))[4, 1], table[:35].unflatten(0, (5, 7))[2, 3])
    assert torch.equal(resized[27:], table[35:])
    torch.testing.assert_close(resize_offset_table(torch.ones(35, 2), (3, 4), (8, 9)), torch.ones(15 * 17, 2))


@pytest.mark.parametrize('kind', ['decomposed', 'table'])
def test_another_grid_gives_the_same_as_resized_tables(kind):
    attention, x = make_attention(kind, 16, 2, (3, 4), 0), torch.randn(2, 30, 16)
    other = make_attention(kind, 16, 2, (6, 5), 0)
    other.load_state_dict(
        attention.state_dict()
        | {name: torch.randn_like(value) for name, value in other.state_dict().items() if is_rel_pos_table(name)}
    )
    for name, table in attention.named_parameters():
        if is_rel_pos_table(name):
            torch.nn.init.normal_(table)
            fitted = (
                resize_offset_table(table, (3, 4), (6, 5))
                if kind == 'table'
                else resize_axis_table(table, 6 if name.endswith('h') else 5)
            )
            other.get_parameter(name).data.copy_(fitted)
    torch.testing.assert_close(attention(x, Places((6, 5))), other(x, Places((6, 5))))


# --- on a GPU ---------------------------------------------------------------------------------------------------------
@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
@pytest.mark.parametrize(
    'kind, grid, dim',
    [('decomposed', (14, 14), 64), ('decomposed', (9, 31), 80), ('decomposed', (110, 90), 64), ('table', (32, 32), 64)],
    ids=str,
)
@pytest.mark.parametrize('dtype', [None, torch.bfloat16, torch.float16], ids=str)
def test_gpu_and_cpu_agree(kind, grid, dim, dtype):
    """Including a grid that makes heads too wide for flash attention."""
    torch.manual_seed(0)
    attention, x = make_attention(kind, 2 * dim, 2, grid, 0), torch.randn(2, grid[0] * grid[1], 2 * dim)
    for name, table in attention.named_parameters():
        if is_rel_pos_table(name):
            torch.nn.init.normal_(table, std=0.3)
    results = []
    for device in ('cpu', 'cuda'):
        attention.zero_grad(set_to_none=True)
        with torch.autocast('cuda', dtype or torch.bfloat16, enabled=dtype is not None and device == 'cuda'):
            out = attention.to(device)(x.to(device), grid)
        out.float().sin().sum().backward()
        results.append([out.detach().float().cpu(), *(value.grad.cpu() for value in attention.parameters())])
    tolerance = {None: 2e-3, torch.bfloat16: 0.05, torch.float16: 0.01}[dtype]
    for expected, found in zip(*results):
        assert (found - expected).abs().max() <= tolerance * expected.abs().max()
