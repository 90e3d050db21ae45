import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from mae_transfer.errors import UserError
from mae_transfer.exploring.masks import drawn
from mae_transfer.exploring.photos import Photo
from mae_transfer.exploring.subject import MOST_PATCHES, Subject
from mae_transfer.inference.bare_vit import read_bare_vit
from mae_transfer.settings import read_config
from mae_transfer.vit import ViT
from tests.exploring.subjects import GRID, classifier, mae, trained, vit_settings
from tests.tools.commands import REPOSITORY


def photo(channels=3, dtype=torch.uint8):
    pixels = torch.randint(0, 256, (channels, 32, 32), generator=torch.Generator().manual_seed(0))
    return Photo('x.png', pixels.to(dtype))


def test_an_mae_reconstructs_and_the_photo_is_shown_as_it_is(tmp_path):
    subject = Subject(mae(tmp_path))
    assert subject.grid == GRID and subject.size == (32, 32) and subject.why_not == ''
    assert subject.description == (
        'MAE · ViT of width 16, 2 blocks, 2 heads · 4 x 4 patches of 8 pixels · epoch_1.pth · cpu'
    )
    hidden = drawn(subject.model.masking, 0.75, GRID, 0)
    found = subject.masked(photo(), hidden, pasted=True)
    whole = photo().pixels.movedim(0, 2).numpy()
    assert np.array_equal(found.original, whole) and np.array_equal(subject.picture(photo()), whole)
    is_hidden = hidden.reshape(GRID).repeat(8, 0).repeat(8, 1)
    assert np.array_equal(found.masked[~is_hidden], whole[~is_hidden])
    assert (found.masked[is_hidden] == found.masked[is_hidden][0]).all()
    assert np.array_equal(found.predicted[~is_hidden], whole[~is_hidden])
    assert found.loss > 0 and (found.predicted[is_hidden] != whole[is_hidden]).mean() > 0.5


def test_features_and_attention_are_of_patches(tmp_path):
    subject = Subject(mae(tmp_path))
    features = subject.features(photo())
    with torch.no_grad():
        tokens = subject.encoder.vit.tokens(subject.normalised(photo()))
    np.testing.assert_allclose(features.reshape(16, 16), tokens[0, 1:], rtol=1e-6)
    assert subject.attention(photo(), 3).shape == (2, 17) and subject.heads == 2


def test_bands_are_stretched_as_the_photo_needs_it(tmp_path):
    bands = dict(mean=[100.0] * 5, std=[50.0] * 5)
    run = mae(tmp_path, vit=vit_settings(in_channels=5), data_preprocessor=dict(type='PhotoPreprocessor', **bands))
    run.cfg.bands = (1, 2, 3, 4, 9)
    subject = Subject(run)
    picture = subject.picture(photo(5, torch.float32))
    assert picture.shape == (32, 32, 3) and picture.min() == 0 and picture.max() == 255
    assert subject.masked(photo(5, torch.float32), np.ones(16, bool), True).predicted.shape == (32, 32, 3)


def test_a_grey_model_has_grey_pictures(tmp_path):
    grey = dict(type='PhotoPreprocessor', mean=[100.0], std=[50.0])
    subject = Subject(mae(tmp_path, vit=vit_settings(in_channels=1), data_preprocessor=grey))
    picture = subject.picture(photo(1))
    assert picture.shape == (32, 32, 3) and (picture == picture[..., :1]).all()


def test_a_classifier_says_why_it_reconstructs_nothing():
    subject = Subject(classifier())
    assert subject.model is None and 'is a ViTClassifier, which predicts no pixels' in subject.why_not
    assert subject.features(photo()).shape == (4, 4, 16)
    with pytest.raises(UserError, match='predicts no pixels'):
        subject.masked(photo(), np.ones(16, bool), True)


def test_a_vit_alone_says_why_it_reconstructs_nothing(tmp_path):
    torch.manual_seed(0)
    vit = ViT('32x2x2', img_size=32, patch_size=8)
    save_file(vit.state_dict(), tmp_path / 'vit.safetensors')
    subject = Subject(read_bare_vit(tmp_path / 'vit.safetensors', arch='32x2x2'), 'cpu')
    assert subject.grid == GRID and 'holds a ViT alone' in subject.why_not and 'give the work_dir' in subject.why_not
    assert subject.attention(photo(), 0).shape == (2, 17)


def test_a_target_without_pixels_says_so(tmp_path):
    subject = Subject(mae(tmp_path, target=dict(type='PCATarget', components=4)))
    assert subject.model is None and subject.why_not == 'its target, PCATarget, was never prepared.'


@pytest.mark.slow  # importing MMDetection takes seconds
def test_a_detector_has_features_and_attention(tmp_path):
    changes = ['model.backbone.arch=32x4x2', 'model.backbone.out_indices=(0,1,2,3)', 'model.neck.embed_dim=32']
    changes += ['model.roi_head.bbox_head.fc_out_channels=16', 'pretrained=none', 'image_size=(64,64)']
    cfg = read_config(REPOSITORY / 'configs/small/coco_maskrcnn.py', changes)
    subject = Subject(trained(cfg))
    assert 'predicts no pixels' in subject.why_not
    rows, columns = subject.grid
    pixels = torch.randint(0, 256, (3, *subject.size), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    shares = subject.attention(Photo('x.png', pixels), 1)
    assert shares.shape[1] == rows * columns + subject.encoder.vit.num_special
    np.testing.assert_allclose(shares.sum(1), 1, rtol=1e-5)


def test_a_large_grid_is_shown_at_a_size_that_is_computed_at_once(tmp_path):
    subject = Subject(mae(tmp_path, vit=vit_settings(img_size=(8 * 40, 8 * 20))))
    assert subject.grid == (MOST_PATCHES, 20) and subject.size == (8 * MOST_PATCHES, 8 * 20)
