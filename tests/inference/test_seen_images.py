"""inference/seen_images.py: what the images of a model are like."""

from __future__ import annotations

import pytest
import torch
from mmengine.model import ImgDataPreprocessor
from torch import nn

from mae_transfer.errors import UserError
from mae_transfer.inference.seen_images import seen_images
from mae_transfer.pretraining.preprocessor import PhotoPreprocessor

RGB = ((1.0, 2.0, 3.0), (4.0, 5.0, 6.0))


def model(preprocessor: nn.Module | None) -> nn.Module:
    torch.manual_seed(0)
    built = nn.Module()
    built.data_preprocessor = preprocessor
    return built


def test_our_preprocessor_gets_rgb():
    assert seen_images(model(PhotoPreprocessor(*RGB)), None, 3, 'a') == ('RGB', *RGB, False)


@pytest.mark.parametrize('turns', [True, False])
def test_mmengine_s_gets_bgr_and_may_turn_it(turns):
    preprocessor = ImgDataPreprocessor(mean=RGB[0], std=RGB[1], bgr_to_rgb=turns)
    assert seen_images(model(preprocessor), dict(bands='RGB'), 3, 'a') == ('RGB', *RGB, not turns)


@pytest.mark.parametrize('channels, bands', [(1, 'L'), (2, (1, 2))])
def test_bands_follow_the_channels_and_a_config_comes_first(channels, bands):
    preprocessor = PhotoPreprocessor(RGB[0][:channels], RGB[1][:channels])
    assert seen_images(model(preprocessor), {}, channels, 'a').bands == bands
    assert seen_images(model(preprocessor), dict(bands=(3, 1)), channels, 'a').bands == (3, 1)


@pytest.mark.parametrize('preprocessor', [None, ImgDataPreprocessor()])
def test_a_model_that_does_not_normalise_is_told(preprocessor):
    with pytest.raises(UserError, match='^runs/a does not normalise images: its data_preprocessor has no mean$'):
        seen_images(model(preprocessor), None, 3, 'runs/a')
