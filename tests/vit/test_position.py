"""Position embeddings against numbers of the official code."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mae_transfer.vit.position import resize_pos_embed, sincos_table
from tests.official import GOLDEN, value


def test_sincos_equals_the_official_table():
    golden = GOLDEN['sincos']
    table = sincos_table(golden['dim'], (golden['grid'], golden['grid']))
    assert table.shape == (1, 1 + golden['grid'] ** 2, golden['dim']) and table.dtype == torch.float32
    assert table[0, 0].count_nonzero() == 0
    torch.testing.assert_close(
        table[0, 1, :4].double(), torch.tensor(golden['token1_first4']).double(), rtol=1e-6, atol=1e-7
    )
    for token in (2, 15):
        found = table[0, token, golden['token2_indices']].double()
        torch.testing.assert_close(found, torch.tensor(golden[f'token{token}']).double(), rtol=1e-6, atol=1e-7)
    assert table.double().abs().sum().item() == pytest.approx(golden['sum_abs'], rel=1e-6)


def test_sincos_of_a_grid_that_is_not_square_encodes_column_then_row():
    table = sincos_table(8, (2, 3))[0, 1:].reshape(2, 3, 8)
    for row in range(2):
        for column in range(3):
            expected = [
                np.sin(column),
                np.sin(column / 100),
                np.cos(column),
                np.cos(column / 100),
                np.sin(row),
                np.sin(row / 100),
                np.cos(row),
                np.cos(row / 100),
            ]
            torch.testing.assert_close(table[row, column], torch.tensor(expected).float())


@pytest.mark.parametrize('prefix', [0, 1, 2])
def test_the_prefix_has_rows_of_zeros(prefix):
    table = sincos_table(8, (2, 3), prefix)
    assert table.shape == (1, prefix + 6, 8)
    assert table[:, :prefix].count_nonzero() == 0
    assert torch.equal(table[:, prefix:], sincos_table(8, (2, 3), 0))


def test_sincos_needs_a_multiple_of_four_channels():
    with pytest.raises(ValueError, match='found 10'):
        sincos_table(10, (2, 2))


def test_resizing_equals_the_official_interpolation():
    golden = GOLDEN['pos_embed_resize']
    old, new = golden['from_grid'], golden['to_grid']
    table = value('pos_embed', (1, 1 + old**2, golden['dim']))
    resized = resize_pos_embed(table, (old, old), (new, new))
    for token, key in ((0, 'token0_first8'), (1, 'token1_first8'), (-1, 'last_first8')):
        torch.testing.assert_close(resized[0, token, :8], torch.tensor(golden[key]), rtol=1e-6, atol=1e-6)
    assert resized.abs().mean().item() == pytest.approx(golden['mean_abs'], rel=1e-6)


def test_resizing_to_the_same_grid_returns_the_table_itself():
    table = torch.randn(1, 7, 8)
    assert resize_pos_embed(table, (2, 3), (2, 3)) is table


grids = st.tuples(st.integers(1, 8), st.integers(1, 8))


@settings(deadline=None, max_examples=30)
@given(old=grids, new=grids, prefix=st.integers(0, 2))
def test_resizing_keeps_the_prefix_and_constant_values(old, new, prefix):
    table = torch.cat([torch.randn(1, prefix, 4), torch.full((1, old[0] * old[1], 4), 0.7)], dim=1)
    resized = resize_pos_embed(table, old, new, prefix)
    assert torch.equal(resized[:, :prefix], table[:, :prefix])
    torch.testing.assert_close(resized[:, prefix:], torch.full((1, new[0] * new[1], 4), 0.7))


def test_resizing_commutes_with_transposing():
    table = torch.randn(1, 3, 5, 4)
    upright = resize_pos_embed(table.flatten(1, 2), (3, 5), (6, 7), 0).reshape(1, 6, 7, 4)
    lying = resize_pos_embed(table.transpose(1, 2).flatten(1, 2), (5, 3), (7, 6), 0).reshape(1, 7, 6, 4)
    torch.testing.assert_close(upright, lying.transpose(1, 2))


def test_shrinking_does_not_antialias():
    # Alternating values: antialiasing would flatten them.
    table = torch.tensor([1.0, 1.0, -1.0, -1.0]).repeat(3).reshape(1, 12, 1).expand(-1, -1, 4)
    shrunk = resize_pos_embed(table, (1, 12), (1, 4), 0)
    assert torch.equal(shrunk, table[:, 1::3])  # the centre of each third is a sample of the table


def test_the_dtype_is_kept():
    assert resize_pos_embed(torch.randn(1, 5, 4).bfloat16(), (2, 2), (3, 3)).dtype == torch.bfloat16


def test_gradients_pass_through_resizing():
    table = torch.randn(1, 5, 4, requires_grad=True)
    resize_pos_embed(table, (2, 2), (3, 4)).sum().backward()
    assert (table.grad != 0).all()


def test_a_table_of_another_grid_is_refused():
    with pytest.raises(ValueError, match='1 \\+ 2 x 3'):
        resize_pos_embed(torch.randn(1, 5, 4), (2, 3), (4, 4))
