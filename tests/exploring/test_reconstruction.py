import numpy as np
import pytest
import torch

from mae_transfer.exploring.masks import drawn
from mae_transfer.exploring.reconstruction import reconstruct
from mae_transfer.pretraining import NormalizedPixelTarget
from tests.exploring.subjects import GRID, SIZE, mae


def photo() -> torch.Tensor:
    return torch.randn(1, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize('settings', [{}, dict(encoder_mask_tokens=True), dict(target=dict(type='PixelTarget'))])
def test_it_is_the_models_own_reconstruction_and_loss(settings, tmp_path):
    model = mae(tmp_path / 'photos', **settings).model
    hidden, image = drawn(model.masking, 0.75, GRID, 3), photo()
    found = reconstruct(model, image, hidden)
    seeds = torch.tensor([3])
    with torch.no_grad():
        torch.testing.assert_close(found.predicted, model.reconstruct(image, model.mask(image, seeds)))
        assert found.loss == pytest.approx(model(image, seeds, mode='predict')[0]['loss'], rel=1e-5)


def test_shown_patches_are_pasted_or_predicted(tmp_path):
    model, image = mae(tmp_path / 'photos').model, photo()
    hidden = np.ones(16, bool)
    hidden[0] = False
    pasted, whole = (reconstruct(model, image, hidden, pasted) for pasted in (True, False))
    first = (..., slice(0, 8), slice(0, 8))
    assert torch.equal(pasted.predicted[first], image[first]) and torch.equal(pasted.masked[first], image[first])
    assert (whole.predicted[first] - image[first]).abs().max() > 0.1 and pasted.loss == whole.loss
    rest = (..., slice(8, None), slice(None))
    assert torch.equal(pasted.predicted[rest], whole.predicted[rest]) and not pasted.masked[rest].any()


def test_all_or_no_patches_can_be_hidden(tmp_path):
    model, image = mae(tmp_path / 'photos').model, photo()
    none = reconstruct(model, image, np.zeros(16, bool))
    assert none.loss is None and torch.equal(none.predicted, image)
    every = reconstruct(model, image, np.ones(16, bool))
    assert np.isfinite(every.loss) and not every.masked.any() and every.predicted.isfinite().all()


def test_what_a_picture_borrows_is_what_its_target_reads_of_hidden_patches(tmp_path):
    """Another photo below the mask: the picture changes for targets that borrow, and for no others."""
    hidden, image = np.ones(16, bool), photo()
    hidden[:4] = False
    other = torch.cat([image[:, :, :8], 3 * image[:, :, 8:] + 1], 2)
    for kind, borrows in (('NormalizedPixelTarget', True), ('PixelTarget', False)):
        model = mae(tmp_path / 'photos', target=dict(type=kind)).model
        one, two = (reconstruct(model, seen, hidden).predicted[:, :, 8:] for seen in (image, other))
        assert torch.allclose(one, two, atol=1e-5) != borrows
        assert ('borrows the mean and deviation' in model.target.pictured) == borrows
        assert ('nothing is borrowed' in model.target.pictured) != borrows


def test_a_prediction_that_is_flat_has_a_loss_of_one():
    target, image = NormalizedPixelTarget(), photo()
    loss = target.loss(torch.zeros(1, 16, target.dim(8, 3)), target(image, 8))
    assert loss.item() == pytest.approx(1, abs=0.01) and 'flat prediction' in target.loss_unit
