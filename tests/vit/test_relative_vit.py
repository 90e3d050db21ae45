"""Relative positions in the whole ViT: construction, loading, training, recomputation, half precision."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from mae_transfer.errors import UserError
from mae_transfer.vit.position_tables import is_rel_pos_table
from mae_transfer.vit.weights.checkpoint import CheckpointError, load_vit
from tests.helpers import enlarge, small_vit

windowed = dict(class_token=False, window_size=3, global_blocks=(1, 3))
KINDS = {
    'none': dict(),
    'none in windows': windowed,
    'decomposed': dict(rel_pos='decomposed', class_token=False),
    'decomposed in windows': dict(rel_pos='decomposed', **windowed),
    'shared': dict(rel_pos='shared', class_token=False),
    'shared in windows': dict(rel_pos='shared', **windowed),
    'table': dict(rel_pos='table'),
    'table in windows': dict(rel_pos='table', **windowed),
}
RELATIVE = {name: settings for name, settings in KINDS.items() if 'none' not in name}
each_kind = pytest.mark.parametrize('settings', KINDS.values(), ids=KINDS)
each_relative_kind = pytest.mark.parametrize('settings', RELATIVE.values(), ids=RELATIVE)


def tables_of(vit) -> dict:
    return {name: table for name, table in vit.named_parameters() if is_rel_pos_table(name)}


# --- construction -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    'kind, expected',
    [
        (
            'decomposed in windows',
            {
                f'blocks.{i}.attn.rel_pos_{axis}': (2 * side - 1, 8)
                for i, sides in enumerate([(3, 3), (5, 7), (3, 3), (5, 7)])
                for axis, side in zip('hw', sides)
            },
        ),
        ('shared', {'rel_pos_global': (9 * 13, 2)}),
        ('shared in windows', {'rel_pos_window': (25, 2), 'rel_pos_global': (9 * 13, 2)}),
        ('table', {f'blocks.{i}.attn.relative_position_bias_table': (9 * 13 + 3, 2) for i in range(4)}),
        (
            'table in windows',
            {f'blocks.{i}.attn.relative_position_bias_table': (9 * 13 if i % 2 else 25, 2) for i in range(4)},
        ),
    ],
)
def test_tables_are_zeros_for_their_grid_or_window(kind, expected):
    tables = tables_of(small_vit(rel_pos_img_size=(20, 28), **RELATIVE[kind]))
    assert {name: tuple(table.shape) for name, table in tables.items()} == expected
    assert not any(table.any() for table in tables.values())


@each_relative_kind
def test_images_of_any_size(settings):
    vit = enlarge(small_vit(rel_pos_img_size=24, **settings))
    assert vit(torch.randn(2, 3, 22, 9))[0].shape == (2, 16, 6, 3)


@each_relative_kind
def test_tables_have_an_effect_and_every_parameter_gets_a_gradient(settings):
    vit = small_vit(learn_positions=True, final_norm=False, out_indices=(0, 1, 2, 3), **settings)
    assert all(value.requires_grad for value in vit.parameters())
    enlarge(vit)
    images = torch.randn(2, 3, 16, 16)
    sum(m.sin().sum() for m in vit(images)).backward()
    assert all(value.grad.abs().sum() > 0 for value in vit.parameters())
    before = vit(images)[0]
    for table in tables_of(vit).values():
        nn.init.zeros_(table)
    assert not torch.allclose(vit(images)[0], before, atol=1e-3)


@pytest.mark.parametrize(
    'changes, words',
    [
        (dict(rel_pos='beit'), "unknown rel_pos 'beit': choose one of decomposed, shared, table"),
        (dict(rel_pos='decomposed'), "rel_pos='decomposed' needs class_token=False"),
        (dict(rel_pos='table', design=dict(registers=2)), "rel_pos='table' has no entries for registers=2"),
        (
            dict(rel_pos_img_size=16),
            'rel_pos_img_size=16 has no effect without rel_pos: choose decomposed, shared, table',
        ),
        (
            dict(rel_pos='table', rel_pos_img_size=18),
            'rel_pos_img_size 18 x 18 is not divisible by patch_size 4: .* 16 x 16',
        ),
    ],
)
def test_bad_settings_are_refused_in_one_line(changes, words):
    with pytest.raises(UserError, match=words) as caught:
        small_vit(**changes)
    assert '\n' not in str(caught.value)


def test_a_subset_of_patches_is_refused():
    with pytest.raises(UserError, match="rel_pos='table' takes whole images only: pre-train with rel_pos=None"):
        small_vit(rel_pos='table').tokens(torch.randn(1, 3, 16, 16), torch.tensor([[0, 1]]))


@pytest.mark.parametrize('kind, frozen', [('decomposed', 2), ('table', 2), ('shared', 1)])
def test_tables_of_frozen_blocks_are_frozen(kind, frozen):
    tables = tables_of(small_vit(frozen_blocks=frozen, **RELATIVE[kind]))
    for name, table in tables.items():
        assert table.requires_grad == (kind != 'shared' and int(name.split('.')[1]) >= frozen), name


# --- loading ----------------------------------------------------------------------------------------------------------
@each_relative_kind
def test_a_checkpoint_without_tables_leaves_them_at_zero_and_this_is_reported(settings):
    source, vit = enlarge(small_vit()), small_vit(**settings)
    report = load_vit(vit, source.state_dict())
    tables = tables_of(vit)
    assert report.at_zero and set(report.at_zero) == set(tables) and not report.missing
    assert not any(table.any() for table in tables.values())
    assert f'none of, left as they were (they start at zero): {report.at_zero[0]}' in str(report)
    assert f'of {len(vit.state_dict())} weights' in str(report)


@each_relative_kind
def test_our_checkpoint_with_tables_loads_exactly(settings):
    settings = dict(settings, rel_pos_img_size=(20, 28))
    source, vit = enlarge(small_vit(**settings)), small_vit(**settings)
    report = load_vit(vit, {'state_dict': {f'backbone.{name}': value for name, value in source.state_dict().items()}})
    assert all(torch.equal(value, source.state_dict()[name]) for name, value in vit.state_dict().items())
    assert not (report.at_zero or report.missing or report.resized)


@each_relative_kind
def test_loading_resizes_tables_as_the_forward_pass_does(settings):
    source = enlarge(small_vit(rel_pos_img_size=24, **settings))
    vit = small_vit(rel_pos_img_size=(20, 28), **settings)
    report = load_vit(vit, source.state_dict())
    globals_ = [name for name in tables_of(vit) if vit.table_grid(name) == (5, 7)]
    assert globals_ and list(report.resized) == globals_ and f'resized: {globals_[0]} ' in str(report)
    images = torch.randn(1, 3, 20, 28)
    torch.testing.assert_close(vit(images)[0], source(images)[0], rtol=1e-4, atol=1e-5)


def test_without_a_class_token_its_entries_are_dropped():
    source, vit = enlarge(small_vit(rel_pos='table')), small_vit(rel_pos='table', class_token=False)
    load_vit(vit, source.state_dict())
    name = 'blocks.2.attn.relative_position_bias_table'
    assert torch.equal(vit.state_dict()[name], source.state_dict()[name][:-3])


@pytest.mark.parametrize(
    'change, settings, message',
    [
        (
            lambda s: {k: v for k, v in s.items() if k != 'blocks.2.attn.rel_pos_w'},
            RELATIVE['decomposed'],
            'lacks blocks.2.attn.rel_pos_w',
        ),
        (
            lambda s: s,
            dict(class_token=False),
            "has relative positions .'blocks.0.attn.rel_pos_h'. .* choose rel_pos='decomposed'",
        ),
        (
            lambda s: s | {'blocks.0.attn.rel_pos_h': torch.zeros(7, 9)},
            RELATIVE['decomposed'],
            r'is \(7, 9\) in the checkpoint, \(7, 8\)',
        ),
    ],
)
def test_tables_that_do_not_fit_are_refused(change, settings, message):
    state = enlarge(small_vit(**RELATIVE['decomposed'])).state_dict()
    with pytest.raises(CheckpointError, match=message):
        load_vit(small_vit(**settings), change(dict(state)))


def test_a_table_for_no_square_grid_needs_source_grid():
    source = enlarge(small_vit(rel_pos='table', img_size=(16, 8)))
    vit = small_vit(rel_pos='table')
    with pytest.raises(CheckpointError, match='give source_grid'):
        load_vit(vit, source.state_dict())
    assert (
        'blocks.0.attn.relative_position_bias_table' in load_vit(vit, source.state_dict(), source_grid=(4, 2)).resized
    )


def test_an_ambiguous_number_of_offsets_needs_source_grid():
    source = enlarge(small_vit(rel_pos='table', img_size=(20, 52)))  # 5 x 13: 9 * 25 offsets, as of 8 x 8
    vit = small_vit(rel_pos='table', img_size=(20, 52))
    with pytest.raises(CheckpointError, match='225 offsets may be for 8 x 8 or 5 x 13: give source_grid'):
        load_vit(vit, source.state_dict())
    assert not load_vit(vit, source.state_dict(), source_grid=(5, 13)).resized


# --- training ---------------------------------------------------------------------------------------------------------
def train_step(settings: dict, recompute: bool, dtype: torch.dtype | None) -> tuple:
    vit = enlarge(
        small_vit(drop_path_rate=0.5, learn_positions=True, out_indices=(1, 3), grad_checkpoint=recompute, **settings)
    ).train()
    images, kept = torch.randn(4, 3, 20, 24, generator=torch.Generator().manual_seed(1)), []
    torch.manual_seed(3)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.nbytes) or t, lambda t: t):
        with torch.autocast('cpu', dtype or torch.bfloat16, enabled=dtype is not None):
            maps = vit(images)
    loss = sum(m.float().square().mean() for m in maps)
    loss.backward()
    return loss.detach(), {name: value.grad for name, value in vit.named_parameters()}, torch.rand(3), sum(kept)


@each_kind
@pytest.mark.parametrize('dtype', [None, torch.bfloat16, torch.float16], ids=str)
def test_recomputed_blocks_give_identical_gradients_and_store_less(settings, dtype):
    loss, grads, following, kept = train_step(settings, False, dtype)
    again, again_grads, again_following, kept_less = train_step(settings, True, dtype)
    assert torch.equal(loss, again) and torch.equal(following, again_following)
    assert all(torch.equal(again_grads[name], grad) for name, grad in grads.items())
    assert kept_less < kept / 3
    assert all(grad.abs().sum() > 0 and grad.isfinite().all() for grad in grads.values())


@each_kind
@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16], ids=str)
def test_gradients_in_half_precision_are_close(settings, dtype):
    _, exact, *_ = train_step(settings, False, None)
    _, half, *_ = train_step(settings, False, dtype)
    for name, grad in exact.items():
        assert half[name].dtype == torch.float32
        assert nn.functional.cosine_similarity(half[name].flatten(), grad.flatten(), dim=0) > 0.98, name


@each_kind
@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16], ids=str)
def test_blocks_compute_in_half_precision(settings, dtype, monkeypatch):
    vit, seen = enlarge(small_vit(**settings)), {}
    block = vit.blocks[1]
    block.attn.qkv.register_forward_hook(lambda *call: seen.update(qkv=call[-1].dtype))
    block.mlp.fc1.register_forward_hook(lambda *call: seen.update(mlp=call[-1].dtype))
    attend = block.attn.attend
    block.attn.attend = lambda *taken: (
        seen.update(attend=[t.dtype for t in taken[:3]], out=(out := attend(*taken)).dtype) or out
    )
    products = watch_products(monkeypatch)
    with torch.autocast('cpu', dtype):
        vit(torch.randn(1, 3, 16, 16))
    assert seen == dict(qkv=dtype, mlp=dtype, attend=[dtype] * 3, out=dtype)
    # On a CPU, training on a short sequence is faster in float32 than in bfloat16.
    is_plain = not (settings.get('rel_pos') or dtype is torch.float16)
    assert products and set(products) == {torch.float32 if is_plain else dtype}


def watch_products(monkeypatch) -> list:
    """List the dtypes of queries and keys when they are multiplied, in any form of attention."""
    from mae_transfer.vit import attention, tiled_attention

    products, multiply, fused = [], tiled_attention._multiply, attention.F.scaled_dot_product_attention
    monkeypatch.setattr(
        tiled_attention, '_multiply', lambda q, k, store: products.extend([q.dtype, k.dtype]) or multiply(q, k, store)
    )
    monkeypatch.setattr(
        attention.F, 'scaled_dot_product_attention', lambda q, *more: products.append(q.dtype) or fused(q, *more)
    )
    return products
