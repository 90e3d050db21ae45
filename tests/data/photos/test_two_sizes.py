"""Photos in two sizes: one crop for both, its colours and side, its interpolations, and that a seed decides all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.testing import assert_close
from torchvision.transforms import v2

from mae_transfer.data import Photos, PhotosInTwoSizes, collate_photos
from mae_transfer.errors import UserError
from mae_transfer.pretraining import PhotoPreprocessor
from tests.helpers import photo_folder

LANCZOS, BICUBIC = (v2.InterpolationMode.LANCZOS, v2.InterpolationMode.BICUBIC)


@pytest.fixture(scope='module')
def photos(tmp_path_factory) -> Path:
    return photo_folder(tmp_path_factory.mktemp('photos'), 8)


@pytest.fixture(scope='module')
def gradient(tmp_path_factory) -> Path:
    """A folder of one photo of 200 x 300: red rises from left to right, green from top to bottom."""
    folder = tmp_path_factory.mktemp('gradient')
    rows, columns = np.mgrid[0:200, 0:300]
    pixels = np.stack([columns * 255 / 299, rows * 255 / 199, np.full((200, 300), 128)], axis=2)
    Image.fromarray(pixels.round().astype(np.uint8)).save(folder / 'photo.png')
    return folder


@pytest.mark.parametrize('split', ['train', 'val'])
@pytest.mark.parametrize('scale, token_size', [(0.5, (8, 12)), (1, (16, 24)), (0.25, (4, 6))])
def test_an_item_is_an_image_and_a_picture_of_the_tokenizers_size(photos, split, scale, token_size):
    data = PhotosInTwoSizes(str(photos), split, img_size=(16, 24), token_scale=scale, hold_out=0.5)
    item = data[1, 77]
    assert item['inputs'].shape == (3, 16, 24) and item['token_images'].shape == (3, *token_size)
    assert item['inputs'].dtype == item['token_images'].dtype == torch.uint8 and item['seeds'] == 77
    batch = collate_photos([data[i, i] for i in range(len(data))])
    assert batch['token_images'].shape == (len(data), 3, *token_size)
    assert 'token_images' not in collate_photos([Photos(str(photos), img_size=16)[0, 0]])


@pytest.mark.parametrize('color_jitter', [None, (0.4, 0.4, 0.4, 0.0)])
def test_both_show_the_same_crop_in_the_same_colours(gradient, color_jitter):
    data = PhotosInTwoSizes(str(gradient), img_size=64, hold_out=0, color_jitter=color_jitter)
    for seed in range(20):
        item = data[0, seed]
        smaller = v2.functional.resize(item['inputs'].float(), [32, 32], antialias=True)
        assert_close(item['token_images'].float(), smaller, rtol=0, atol=6)


def test_the_seed_decides_both(photos):
    data, again = (PhotosInTwoSizes(str(photos), img_size=16) for _ in range(2))
    state = torch.random.get_rng_state()
    for seed in range(20):
        first, second, other = data[0, seed], again[0, seed], again[0, seed + 1]
        for name in ('inputs', 'token_images'):
            assert torch.equal(first[name], second[name]) and not torch.equal(first[name], other[name])
    assert torch.equal(torch.random.get_rng_state(), state)


def test_photos_are_flipped_half_the_time_and_jittered_in_three_ways(gradient):
    plain = PhotosInTwoSizes(str(gradient), img_size=16, hold_out=0, color_jitter=None)
    items = [plain[0, seed]['inputs'].float() for seed in range(300)]
    flipped = sum(bool(item[0, 8, 0] > item[0, 8, -1]) for item in items)
    assert abs(flipped - 150) <= 4 * 75**0.5
    assert all((item[2] - 128).abs().max() <= 1 for item in items)  # blue is 128 everywhere
    for number in range(3):
        strengths = [0.0] * 4
        strengths[number] = 0.4
        jittered = PhotosInTwoSizes(str(gradient), img_size=16, hold_out=0, color_jitter=tuple(strengths))
        assert (jittered[0, 1]['inputs'].float() - jittered[0, 2]['inputs'].float()).abs().max() > 2


def test_contrast_changes_about_the_mean_of_the_whole_photo(gradient):
    """The jitter comes before the crop, as in the official code: the mean grey of the photo is 128, as its blue is."""
    data = PhotosInTwoSizes(str(gradient), img_size=16, hold_out=0, scale=(0.08, 0.1), color_jitter=(0, 0.4, 0, 0))
    items = [data[0, seed]['inputs'].float() for seed in range(50)]
    assert max((item[2] - 128).abs().max() for item in items) <= 1
    assert torch.stack([item[0].max() - item[0].min() for item in items]).std() > 1


def test_crops_show_the_shares_of_the_official_code(gradient):
    """transforms.py: .08 to 1 of the photo's area, sides in ratios of 3 : 4 to 4 : 3."""
    data = PhotosInTwoSizes(str(gradient), img_size=64, hold_out=0, color_jitter=None)
    areas, ratios = [], []
    for seed in range(300):
        pixels = data[0, seed]['inputs'].float()
        width = (pixels[0, 32, -1] - pixels[0, 32, 0]).abs() / 255 * 299 * 64 / 63
        height = (pixels[1, -1, 32] - pixels[1, 0, 32]).abs() / 255 * 199 * 64 / 63
        areas.append((width * height / 60000).item())
        ratios.append((width / height).item())
    assert 0.06 < min(areas) < 0.12 and 0.85 < max(areas) < 1.05
    assert 0.72 < min(ratios) < 0.8 and 1.25 < max(ratios) < 1.6  # the whole height, where no crop fits


def test_one_is_bicubic_the_other_lanczos(photos):
    """The smallest crops of noise are enlarged, where the two differ."""
    data = PhotosInTwoSizes(str(photos), img_size=64, token_scale=1.0, hold_out=0, scale=(1.0, 1.0), color_jitter=None)
    image = Image.open(data.root / data.names[0]).convert('RGB')
    pixels = v2.functional.pil_to_tensor(image)
    differences = set()
    for seed in range(8):
        item = data[0, seed]
        for flip in (pixels, pixels.flip(2)):
            whole = v2.functional.to_pil_image(flip)
            # A ratio of 5 : 4 fits, so that the crop is the whole photo, or part of its height or width.
            found = [
                name
                for name, mode in (('inputs', BICUBIC), ('token_images', LANCZOS))
                if torch.equal(item[name], v2.functional.pil_to_tensor(v2.functional.resize(whole, [64, 64], mode)))
            ]
            differences.add(tuple(found))
        assert not torch.equal(item['inputs'], item['token_images'])
    assert ('inputs', 'token_images') in differences


@pytest.mark.parametrize('img_size', [32, 320])
def test_held_out_photos_are_centre_crops_of_one_region(gradient, img_size):
    data = PhotosInTwoSizes(str(gradient), 'val', img_size=img_size, hold_out=1)
    item = data[0]
    assert torch.equal(item['inputs'], Photos(str(gradient), 'val', img_size=img_size, hold_out=1)[0]['inputs'])
    smaller = v2.functional.resize(item['inputs'].float(), [img_size // 2] * 2, antialias=True)
    assert_close(item['token_images'].float(), smaller, rtol=0, atol=8)


def test_the_preprocessor_gives_the_tokenizer_colours():
    batch = dict(
        inputs=torch.full((2, 3, 4, 4), 255, dtype=torch.uint8),
        token_images=torch.tensor([0, 51, 255], dtype=torch.uint8).reshape(1, 3, 1, 1).expand(2, -1, 2, 2),
        seeds=torch.arange(2),
        skipped=[],
    )
    found = PhotoPreprocessor()(batch)
    assert set(found) == {'inputs', 'token_images', 'seeds'}
    assert_close(found['token_images'][0, :, 0, 0], torch.tensor([0, 0.2, 1]))


@pytest.mark.parametrize(
    'changes, says',
    [
        (dict(bands='L'), "for bands='RGB'; found bands=L: set the data sets' type to 'Photos'"),
        (dict(token_scale=0), 'token_scale is a share of img_size above 0, e.g. .5; found 0'),
        (dict(token_scale='half'), 'found half'),
        (dict(color_jitter=0.4), 'color_jitter is four strengths'),
        (dict(scale=(1, 0)), 'scale is the least and the greatest share'),
    ],
)
def test_impossible_settings_are_refused(photos, changes, says):
    with pytest.raises(UserError, match=says):
        PhotosInTwoSizes(str(photos), **changes)
