"""LayerNorm over the channels, as a norm for MMDetection's heads."""

import pytest
import torch
from mmcv.cnn import ConvModule, build_norm_layer
from mmengine.registry import MODELS, DefaultScope

CONFIG = dict(type='mae_transfer.LayerNorm2d', eps=1e-6)


def test_each_position_is_normalised_over_its_channels():
    norm = build_norm_layer(CONFIG, 6)[1]
    torch.nn.init.normal_(norm.weight), torch.nn.init.normal_(norm.bias)
    maps = torch.randn(2, 6, 3, 5) * 4 + 1
    outs = norm(maps)
    for image, row, column in [(0, 0, 0), (1, 2, 4), (1, 0, 3)]:
        place = maps[image, :, row, column].double()
        expected = (place - place.mean()) / (place.var(unbiased=False) + 1e-6).sqrt() * norm.weight + norm.bias
        torch.testing.assert_close(outs[image, :, row, column].double(), expected, rtol=1e-5, atol=1e-5)


def test_epsilon_is_that_of_the_original():
    """It matters at a position whose channels hardly differ."""
    norm = build_norm_layer(CONFIG, 2)[1]
    maps = torch.tensor([1e-3, -1e-3]).reshape(1, 2, 1, 1)
    assert norm(maps).flatten().tolist() == pytest.approx([0.5**0.5, -(0.5**0.5)], rel=1e-4)


@pytest.mark.parametrize('scope', ['mmdet', 'mmseg', 'mae_transfer'])
def test_it_is_found_from_every_scope(scope):
    with DefaultScope.overwrite_default_scope(scope):
        assert isinstance(ConvModule(4, 4, 3, norm_cfg=CONFIG).norm, MODELS.get('mae_transfer.LayerNorm2d'))


def test_maps_in_half_precision_are_normalised_in_float32():
    """Mean and variance in bfloat16, whose steps are .5 here, would be far off; only the output may be rounded."""
    norm = build_norm_layer(CONFIG, 4)[1]
    maps = torch.randn(1, 4, 2, 2) * 2 + 100
    with torch.autocast('cpu', torch.bfloat16):
        outs = norm(maps.bfloat16())
    torch.testing.assert_close(outs.float(), norm(maps.bfloat16().float()), rtol=8e-3, atol=1e-3)
