"""Both pyramids: maps, strides, gradients, and the inputs they refuse."""

import pytest
import torch
from torch import nn

from mae_transfer.dense import SimpleFeaturePyramid, ViTFPN
from mae_transfer.dense.scales import SCALES, scale_module
from mae_transfer.errors import UserError
from mae_transfer.registry import MODELS

DIM = 32


def taps(number, grid, batch=2):
    return tuple(torch.randn(batch, DIM, *grid, requires_grad=True) for _ in range(number))


def build(kind, **kwargs):
    torch.manual_seed(0)
    return MODELS.build(dict(type=f'mae_transfer.{kind}', embed_dim=DIM, **kwargs))


def four_sizes(rows, columns):
    return [(4 * rows, 4 * columns), (2 * rows, 2 * columns), (rows, columns), (-(-rows // 2), -(-columns // 2))]


@pytest.mark.parametrize('grid', [(4, 6), (5, 3), (1, 1)])
@pytest.mark.parametrize(
    'kind, number, channels, levels',
    [
        ('ViTFPN', 4, 16, 5),
        ('ViTFPN', 4, None, 4),
        ('SimpleFeaturePyramid', 1, 16, 5),
        ('SimpleFeaturePyramid', 1, 16, 4),
    ],
)
def test_shapes_and_gradients(kind, number, channels, levels, grid):
    pyramid = build(kind, out_channels=channels, num_outs=levels)
    maps = taps(number, grid)
    outs = pyramid(maps)

    sizes = four_sizes(*grid)
    if levels == 5:
        sizes.append(tuple(-(-side // 2) for side in sizes[3]))
    assert [tuple(out.shape) for out in outs] == [(2, channels or DIM, *size) for size in sizes]

    # The outputs are weighted at random, because the sum of a normalised map has no gradient.
    sum((out * torch.randn_like(out)).sum() for out in outs).backward()
    assert all(tap.grad is not None and tap.grad.abs().sum() > 0 for tap in maps)
    assert all(p.grad is not None and p.grad.isfinite().all() for p in pyramid.parameters())


@pytest.mark.parametrize('halve, channels', [(False, (DIM, DIM, DIM, DIM)), (True, (DIM // 4, DIM // 2, DIM, DIM))])
def test_scale_modules_have_the_layers_and_channels_of_the_recipes(halve, channels):
    built = [scale_module(scale, DIM, nn.BatchNorm2d, halve) for scale in SCALES]
    assert [width for _, width in built] == list(channels)
    assert [type(layer).__name__ for layer in built[0][0]] == [
        'ConvTranspose2d',
        'BatchNorm2d',
        'GELU',
        'ConvTranspose2d',
    ]
    assert [type(module) for module, _ in built[1:]] == [nn.ConvTranspose2d, nn.Identity, nn.MaxPool2d]
    with pytest.raises(ValueError, match='scale is one of'):
        scale_module(3, DIM, nn.BatchNorm2d)


@pytest.mark.parametrize(
    'kind, number, kwargs',
    [
        ('ViTFPN', 4, dict(out_channels=None, scale_norm_cfg=dict(type='GN', num_groups=8))),
        ('SimpleFeaturePyramid', 1, dict(num_outs=4)),
    ],
)
def test_levels_are_aligned_with_the_vit_s_map(kind, number, kwargs):
    """A change in one corner of the ViT's map changes the same corner of every level most."""
    pyramid = build(kind, **kwargs).eval()
    for row, column in [(0, 0), (0, -1), (-1, 0), (-1, -1)]:
        maps = taps(number, (9, 11), batch=1)
        bump = torch.zeros(9, 11)
        bump[row, column] = 9
        for old, new in zip(pyramid(maps), pyramid(tuple(tap + bump for tap in maps))):
            change = (new - old).abs().sum(1)[0]
            peak = divmod(int(change.argmax()), change.shape[1])
            for position, side, end in zip(peak, change.shape, (row, column)):
                assert (position >= 2 * side // 3) if end else (position < side / 3)


def test_the_map_of_the_earliest_block_becomes_the_finest():
    pyramid = build('ViTFPN', out_channels=None)
    maps = taps(4, (4, 4))
    for level, out in enumerate(pyramid(maps)):
        grads = torch.autograd.grad(out.square().sum(), maps, allow_unused=True, retain_graph=True)
        assert [grad is not None for grad in grads] == [i == level for i in range(4)]
    assert torch.equal(pyramid(maps)[2], maps[2])


def test_norms_are_those_of_the_recipes():
    layer_norms = [m for m in build('SimpleFeaturePyramid').modules() if isinstance(m, nn.LayerNorm)]
    assert len(layer_norms) == 1 + 2 * 4 and all(m.eps == 1e-6 for m in layer_norms)
    convolutions = [m for m in build('SimpleFeaturePyramid').modules() if type(m) is nn.Conv2d]
    assert [m.kernel_size for m in convolutions] == [(1, 1), (3, 3)] * 4 and all(m.bias is None for m in convolutions)

    assert isinstance(build('ViTFPN').scales[0][1], nn.GroupNorm)
    assert isinstance(build('ViTFPN', scale_norm_cfg=dict(type='SyncBN')).scales[0][1], nn.SyncBatchNorm)
    normed = build('ViTFPN', norm_cfg=dict(type='BN'))
    assert sum(isinstance(m, nn.BatchNorm2d) for m in normed.fpn.modules()) == 8


@pytest.mark.parametrize('kind, number', [('ViTFPN', 4), ('SimpleFeaturePyramid', 1)])
def test_maps_for_detection_are_float32_under_autocast(kind, number):
    """MMDetection casts the boxes to the maps' type: a box at 1021 pixels would become one at 1020 in bfloat16."""
    with torch.autocast('cpu', torch.bfloat16):
        outs = build(kind)(taps(number, (3, 3)))
    assert {out.dtype for out in outs} == {torch.float32}


@pytest.mark.parametrize(
    'kind, number, wrong, message',
    [
        (ViTFPN, 4, 1, 'ViTFPN reads 4 maps; found 1'),
        (SimpleFeaturePyramid, 1, 4, 'SimpleFeaturePyramid reads 1 map; found 4'),
    ],
)
def test_wrong_maps_and_settings_are_refused(kind, number, wrong, message):
    pyramid = kind(DIM)
    with pytest.raises(UserError, match=message) as caught:
        pyramid(taps(wrong, (2, 2)))
    assert '\n' not in str(caught.value) and 'out_indices' in str(caught.value)
    with pytest.raises(UserError, match='built for maps of 32 channels; found 16'):
        pyramid(tuple(tap[:, :16] for tap in taps(number, (2, 2))))
    with pytest.raises(UserError, match='num_outs=3'):
        kind(DIM, num_outs=3)
    if kind is SimpleFeaturePyramid:
        with pytest.raises(UserError, match='multiple of 4; found 30'):
            kind(30)
