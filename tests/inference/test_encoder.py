"""Which tokens become the vector, after which norm; and what an encoder takes from a run."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from mae_transfer.data.files.bands import RGB_MEAN, RGB_STD
from mae_transfer.errors import UserError
from mae_transfer.inference.encoder import Encoder, encoder_of_trained
from mae_transfer.inference.trained import load
from tests.helpers import enlarge, small_vit


def encoder(pool='patches', fc_norm=None, **vit) -> Encoder:
    torch.manual_seed(0)
    return Encoder(enlarge(small_vit(**vit)), pool, RGB_MEAN, RGB_STD, 'RGB', fc_norm, 'the model').eval()


def test_the_vector_of_each_pool_and_norm():
    images = torch.randn(2, 3, 16, 16)
    one = encoder()
    tokens = one.vit.tokens(images)
    assert torch.equal(one.features(images), tokens[:, 1:].mean(1)) and one.norm == 'final norm of each token'
    assert torch.equal(encoder('class').features(images), tokens[:, 0])
    fc_norm = enlarge(nn.LayerNorm(16))
    of_classifier = encoder(fc_norm=fc_norm, final_norm=False)
    expected = fc_norm(of_classifier.vit.tokens(images)[:, 1:].mean(1))
    assert torch.equal(of_classifier.features(images), expected) and of_classifier.norm == 'fc_norm of the mean'
    assert encoder(final_norm=False).norm == 'none'


def test_registers_count_for_nothing():
    one = encoder(design=dict(registers=3))
    images = torch.randn(2, 3, 16, 16)
    maps = one.vit(images)[-1]
    torch.testing.assert_close(one.features(images), maps.flatten(2).mean(2))


def test_a_class_token_that_is_not_there_or_was_not_trained():
    with pytest.raises(UserError, match=r"^the model has no class token: choose pool='patches'$"):
        encoder('class', class_token=False)
    with pytest.raises(UserError, match=r"^the class token of the model was not trained: .*; choose pool='patches'$"):
        encoder('class', final_norm=False)


def test_vectors_are_float32_under_autocast():
    one = encoder()
    with torch.autocast('cpu', torch.bfloat16), torch.no_grad():
        half = one.features(torch.randn(1, 3, 16, 16))
    assert half.dtype is torch.float32


def test_a_detector_of_bgr_is_refused(runs):
    trained = load(runs('detect').work_dir, device='cpu')
    assert encoder_of_trained(trained, 'patches').described()['mean'] == list(RGB_MEAN)
    trained = load(runs('detect').work_dir, device='cpu', model__data_preprocessor__bgr_to_rgb=False)
    with pytest.raises(UserError, match='was trained on BGR, as OpenCV reads images'):
        encoder_of_trained(trained, 'patches')
