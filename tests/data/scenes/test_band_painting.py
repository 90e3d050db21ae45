"""Scenes of thirteen bands: twins are the same in visible light, and differ outside it as their spectra do."""

import numpy as np
import pytest

from mae_transfer.data.scenes.band_painting import BAND_CLASSES, BAND_PALETTE, BANDS, MIN_SIZE, TWINS, paint_band_scene

NUMBERS = tuple(range(1, len(BAND_CLASSES) + 1))
VISIBLE = BANDS[:4]


def paint(seed, size=MIN_SIZE, **settings):
    return paint_band_scene(np.random.default_rng(seed), size, **settings)


@pytest.fixture(scope='module')
def many():
    """Values (N, 13) and labels (N,) of the labelled pixels of many scenes, and the scene of each."""
    scenes = [paint(seed) for seed in range(150)]
    labels = np.stack([scene.labels for scene in scenes])
    keep = labels > 0
    scene_of = np.broadcast_to(np.arange(len(scenes))[:, None, None], keep.shape)
    return np.stack([scene.image for scene in scenes])[keep].astype(float), labels[keep], scene_of[keep]


@pytest.mark.parametrize('size', [32, 33, 64])
def test_a_scene_is_like_sentinel_2(size):
    image, labels = paint(0, size)
    assert image.shape == (size, size, len(BANDS)) and image.dtype == np.uint16 and image.flags.c_contiguous
    assert labels.shape == (size, size) and labels.dtype == np.uint8
    assert set(np.unique(labels)) <= {0, *NUMBERS} and 0.5 < (labels > 0).mean() < 1


def test_values_need_more_than_eight_bits(many):
    values, labels, _ = many
    assert set(labels) == set(NUMBERS)
    assert 8000 < values.max() < 2**15 and len(np.unique(values[:, 7])) > 2000
    assert np.percentile(values, 1) < 100


def test_painting_is_deterministic_and_seeds_differ():
    one, again, other = paint(1), paint(1), paint(2)
    for first, second in zip(one, again):
        np.testing.assert_array_equal(first, second)
    assert not np.array_equal(one.image, other.image)


def test_a_scene_needs_pixels():
    with pytest.raises(ValueError, match='size is 31 pixels; a scene needs at least 32'):
        paint(0, 31)


# --- twins ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize('seed', range(5))
def test_the_other_twin_is_the_same_bit_by_bit_in_visible_light(seed):
    shown, swapped = paint(seed), paint(seed, swapped=True)
    np.testing.assert_array_equal(shown.image[..., : len(VISIBLE)], swapped.image[..., : len(VISIBLE)])
    twins = {one: other for pair in TWINS for one, other in (pair, pair[::-1])}
    expected = [twins.get(label, label) for label in range(len(NUMBERS) + 1)]
    np.testing.assert_array_equal(np.array(expected)[shown.labels], swapped.labels)
    has_twin = np.isin(shown.labels, list(twins))
    if has_twin.any():
        infrared = [image[has_twin][:, len(VISIBLE) :].astype(float) for image in (shown.image, swapped.image)]
        assert abs(infrared[0] - infrared[1]).mean() > 200


@pytest.mark.parametrize('pair', TWINS)
def test_twins_have_one_distribution_in_visible_light_and_two_outside(pair, many):
    values, labels, scene_of = many
    ratio = {}  # of the distance of the means to its error, by scenes
    for band in range(len(BANDS)):
        means = []
        for number in pair:
            chosen = labels == number
            scenes = np.unique(scene_of[chosen])
            means.append(np.array([values[chosen & (scene_of == scene), band].mean() for scene in scenes]))
        error = np.hypot(*(one.std() / len(one) ** 0.5 for one in means))
        ratio[BANDS[band]] = abs(means[0].mean() - means[1].mean()) / error
    assert max(ratio[band] for band in VISIBLE) < 3
    assert max(ratio.values()) > 10
    assert ratio['B08' if pair == TWINS[0] else 'B11'] > 10


def test_twins_are_equally_frequent(many):
    _, labels, scene_of = many
    for pair in TWINS:
        first, second = (len(np.unique(scene_of[labels == number])) for number in pair)
        assert 0.6 < first / second < 1.6


def test_every_class_has_its_colour():
    assert len(BAND_PALETTE) == len(BAND_CLASSES) == len({tuple(colour) for colour in BAND_PALETTE})
