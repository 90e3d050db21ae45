"""A model and its normalisation take as many channels, or one line says which setting makes them agree."""

from __future__ import annotations

import pytest
import torch
from mmengine.model import ImgDataPreprocessor
from torch import nn

from mae_transfer.channels import check_channels
from mae_transfer.classify import ViTClassifier
from mae_transfer.errors import UserError
from mae_transfer.launch import build_runner
from mae_transfer.pretraining import DVAE
from tests.helpers import photo_folder, pretraining, small_vit
from tests.pretraining.test_mae import small_mae

FOUR = dict(mean=(1.0,) * 4, std=(2.0,) * 4)


def mae(channels: int, **normalisation) -> nn.Module:
    return small_mae(vit=dict(in_channels=channels), data_preprocessor=dict(type='PhotoPreprocessor', **normalisation))


def classifier(channels: int, **normalisation) -> nn.Module:
    vit = dict(type='ViT', arch='32x2x2', img_size=16, patch_size=8, in_channels=channels)
    return ViTClassifier(vit, 5, data_preprocessor=dict(type='LabelledPreprocessor', **normalisation))


class Dense(nn.Module):
    """Stands in for a detector or a segmentor."""

    def __init__(self, channels: int, mean=(1.0,) * 3, std=(2.0,) * 3):
        super().__init__()
        self.backbone = small_vit(in_channels=channels)
        self.data_preprocessor = nn.Module()
        self.data_preprocessor.register_buffer('mean', torch.tensor(mean).view(-1, 1, 1))
        self.data_preprocessor.register_buffer('std', torch.tensor(std).view(-1, 1, 1))


BUILDERS = {'vit': mae, 'vit of a classifier': classifier, 'backbone': Dense}


@pytest.mark.parametrize('name', BUILDERS)
def test_channels_without_their_normalisation_are_refused(name):
    place = f'model.{name.partition(" ")[0]}.in_channels'
    with pytest.raises(UserError, match=f'^{place} is 4, but model.data_preprocessor.mean has 3 values') as caught:
        check_channels(BUILDERS[name](4))
    assert str(caught.value).endswith(
        'set `bands`, e.g. bands=(1,2,3,4), which the model follows, with `mean` and `std`, a value for each band'
    )


@pytest.mark.parametrize('name', BUILDERS)
def test_a_normalisation_without_its_channels_is_refused(name):
    with pytest.raises(UserError, match=r'in_channels is 3, but .*mean has 4 values.*bands=\(1,2,3,4\)'):
        check_channels(BUILDERS[name](3, **FOUR))


@pytest.mark.parametrize('name', BUILDERS)
@pytest.mark.parametrize('channels, normalisation', [(3, {}), (4, FOUR), (1, dict(mean=(1.0,), std=(2.0,)))])
def test_what_agrees_passes(name, channels, normalisation):
    check_channels(BUILDERS[name](channels, **normalisation))


def test_a_deviation_for_each_channel_is_needed_too():
    with pytest.raises(UserError, match='in_channels is 4, but model.data_preprocessor.std has 3 values'):
        check_channels(mae(4, mean=(1.0,) * 4))
    with pytest.raises(UserError, match='in_channels is 1, but .*bands=\\(1,\\),'):
        check_channels(mae(1))


def test_a_tokenizer_says_its_own_setting():
    preprocessor = dict(type='PhotoPreprocessor', mean=(0, 0, 0), std=(255, 255, 255))
    small = dict(vocab_size=8, width=4, code_dim=4, num_blocks=1, data_preprocessor=preprocessor)
    check_channels(DVAE(**small))
    with pytest.raises(UserError, match='^model.channels is 4, but model.data_preprocessor.mean has 3 values'):
        check_channels(DVAE(**small, channels=4))


def test_a_model_that_normalises_nothing_or_has_no_vit_of_ours_passes():
    check_channels(small_mae(vit=dict(in_channels=4)))
    model = nn.Module()
    model.backbone, model.data_preprocessor = nn.Linear(1, 1), ImgDataPreprocessor([1.0] * 3, [1.0] * 3)
    check_channels(model)
    check_channels(nn.Linear(1, 1))


def test_the_runner_refuses_it_when_the_model_is_built(tmp_path):
    """FIELD.md: `model.vit.in_channels=4` alone was a ValueError in the ViT, in the first step."""
    cfg = pretraining(photo_folder(tmp_path / 'photos'), tmp_path / 'run')
    cfg.model.vit.in_channels = 4
    with pytest.raises(UserError, match='model.vit.in_channels is 4, but'):
        build_runner(cfg, require_all_weights=False)
