"""Two views of each photo: what differs between them, how often, and that a seed decides all of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from mae_transfer.data import PhotoPairs, collate_photos
from mae_transfer.errors import UserError
from tests.helpers import photo_folder

NEVER = (0.0, 0.0, 0.0, 0.0)


@pytest.fixture(scope='module')
def photos(tmp_path_factory) -> Path:
    return photo_folder(tmp_path_factory.mktemp('photos'), 8)


@pytest.mark.parametrize('split', ['train', 'val'])
def test_an_item_is_two_uint8_views_with_one_seed(photos, split):
    data = PhotoPairs(str(photos), split, img_size=(16, 24), hold_out=0.5)
    item = data[1, 77]
    assert item['inputs'].shape == (2, 3, 16, 24) and item['inputs'].dtype == torch.uint8 and item['seeds'] == 77
    assert not torch.equal(*item['inputs'])
    batch = collate_photos([data[i, i] for i in range(len(data))])
    assert batch['inputs'].shape == (len(data), 2, 3, 16, 24) and batch['seeds'].tolist() == list(range(len(data)))


def test_the_seed_decides_both_views(photos):
    data = PhotoPairs(str(photos), img_size=16)
    again, random_numbers = PhotoPairs(str(photos), img_size=16), torch.random.get_rng_state()
    for seed in range(20):
        first = data[0, seed]['inputs']
        torch.rand(3), np.random.rand(3)
        assert torch.equal(first, again[0, seed]['inputs'])
        assert not torch.equal(first, again[0, seed + 1]['inputs'])
    torch.random.set_rng_state(random_numbers)
    data[0, 5]
    assert torch.equal(torch.random.get_rng_state(), random_numbers)


def test_held_out_photos_are_seen_alike_in_every_evaluation(photos):
    first, second = (PhotoPairs(str(photos), 'val', img_size=16, hold_out=0.5) for _ in range(2))
    assert all(torch.equal(first[i]['inputs'], second[i]['inputs']) for i in range(len(first)))


# --- how often --------------------------------------------------------------------------------------------------------
ITEMS = 300


def within(count: int, probability: float) -> bool:
    """Whether a count of ITEMS is within four standard deviations of what is expected."""
    return abs(count - ITEMS * probability) <= 4 * (ITEMS * probability * (1 - probability)) ** 0.5


def drawn(image: Image.Image, folder: Path, **settings) -> torch.Tensor:
    """Both views (ITEMS, 2, 3, 8, 8) of a photo, whole, as floats."""
    for name in ('a', 'b'):
        image.save(folder / f'{name}.png')
    settings = dict(dict(img_size=8, scale=(1.0, 1.0), color_jitter=NEVER, blur=(1e-6, 1e-6)), **settings)
    data = PhotoPairs(str(folder), **settings)
    return torch.stack([data[0, seed]['inputs'] for seed in range(ITEMS)]).float()


def test_greying_and_solarising_have_the_official_probabilities(tmp_path):
    found = drawn(Image.new('RGB', (16, 16), (200, 30, 90)), tmp_path)[..., 4, 4]
    grey = (found == found[..., :1]).all(-1)
    assert within(int(grey[:, 0].sum()), 0.2) and within(int(grey[:, 1].sum()), 0.2)
    assert within(int((grey[:, 0] & grey[:, 1]).sum()), 0.04)  # each view is drawn by itself
    inverted = found[..., 0] == 55  # only red is above 128
    assert not inverted[:, 0].any()
    # Grey views are 88, below the threshold, and show nothing.
    assert within(int(inverted[:, 1].sum()), 0.2 * 0.8)
    assert set(found[:, 0, 1].tolist()) == {30, 88}


def test_colours_are_jittered_in_four_of_five_views(tmp_path):
    found = drawn(Image.new('RGB', (16, 16), (100, 30, 90)), tmp_path, color_jitter=(0.4, 0.4, 0.2, 0.1))
    colour = torch.tensor([100.0, 30, 90])
    for view in (0, 1):
        is_grey = (found[:, view, :, 4, 4] == found[:, view, :1, 4, 4]).all(-1)
        # A grey view shows its jitter by its brightness, almost always.
        same = (found[:, view, :, 4, 4] == colour).all(-1) | is_grey & (found[:, view, 0, 4, 4] == 58)
        assert within(int((~same).sum()), 0.8)


def test_the_first_view_is_always_blurred_the_second_one_in_ten(tmp_path):
    edge = np.zeros((16, 16, 3), np.uint8)
    edge[:, 8:] = 100  # below the threshold of solarising; of one colour, so that greying changes nothing
    found = drawn(Image.fromarray(edge), tmp_path, img_size=16, blur=(2.0, 2.0))
    blurred = ((found > 5) & (found < 95)).flatten(2).float().mean(-1) > 0.3
    assert blurred[:, 0].all() and within(int(blurred[:, 1].sum()), 0.1)


def test_half_of_the_views_are_mirrored_each_by_itself(tmp_path):
    sides = np.zeros((16, 16, 3), np.uint8)
    sides[:, 8:] = 100
    found = drawn(Image.fromarray(sides), tmp_path)
    mirrored = found[:, :, 0, 4, 0] > found[:, :, 0, 4, -1]
    assert within(int(mirrored[:, 0].sum()), 0.5) and within(int(mirrored[:, 1].sum()), 0.5)
    assert within(int((mirrored[:, 0] ^ mirrored[:, 1]).sum()), 0.5)


@pytest.mark.parametrize('scale', [(0.08, 0.08), (0.3, 0.3)])
def test_a_view_shows_the_given_share_of_the_photo(tmp_path, scale):
    x, y = np.meshgrid(np.linspace(0, 100, 256), np.linspace(0, 100, 256))
    photo = Image.fromarray(np.stack([x, y, np.zeros_like(x)], -1).astype(np.uint8))
    # Grey views, and solarised ones of which nothing is above 100, are told by their channels.
    found = drawn(photo, tmp_path, img_size=32, scale=scale)
    for view in (0, 1):
        coloured = found[:, view][(found[:, view, 2] == 0).flatten(1).all(1)]
        width = (coloured[:, 0, :, -1] - coloured[:, 0, :, 0]).abs().mean(1)
        height = (coloured[:, 1, -1] - coloured[:, 1, 0]).abs().mean(1)
        assert (width * height / (100 * 31 / 32) ** 2).mean().item() == pytest.approx(scale[0], rel=0.1)


def test_the_settings_are_those_of_the_official_code(photos):
    data = PhotoPairs(str(photos))
    crops = [view.transform.transforms[0] for view in data.views]
    jitters = [view.transform.transforms[1] for view in data.views]
    for crop, jitter in zip(crops, jitters):
        assert isinstance(crop, v2.RandomResizedCrop) and crop.scale == (0.08, 1.0) and list(crop.size) == [224, 224]
        colour = jitter.transforms[0]
        assert (colour.brightness, colour.contrast) == ((0.6, 1.4), (0.6, 1.4))
        assert (colour.saturation, colour.hue) == ((0.8, 1.2), (-0.1, 0.1))


# --- what is refused --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize('bands', ['L', (1, 2, 3), (3,)])
def test_other_bands_are_refused_in_one_line(photos, bands):
    with pytest.raises(UserError, match=r"only bands='RGB' have; found bands=.*: pre-train other bands by an MAE") as e:
        PhotoPairs(str(photos), bands=bands)
    assert '\n' not in str(e.value)


@pytest.mark.parametrize('blur', [(0, 1), (2, 1), (1,)])
def test_an_impossible_blur_is_refused(photos, blur):
    with pytest.raises(UserError, match=r'blur is the least and the greatest deviation in pixels, e.g. \(.1,2\)'):
        PhotoPairs(str(photos), blur=blur)
