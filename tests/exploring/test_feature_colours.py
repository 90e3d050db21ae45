import numpy as np

from mae_transfer.exploring.feature_colours import at_places, feature_colours


def features(seed=0):
    """Two photos of 4 x 5 patches, whose features are three directions of falling variance and a little noise."""
    rng = np.random.default_rng(seed)
    directions = np.linalg.qr(rng.normal(size=(8, 8)))[0][:3]
    weights = rng.normal(size=(2, 4, 5, 3)) * (9, 3, 1)
    return (weights @ directions + rng.normal(size=(2, 4, 5, 8)) * 1e-3).astype(np.float32), weights


def test_colours_are_the_three_directions_of_largest_variance():
    values, weights = features()
    found = feature_colours(values)
    assert found.colours.shape == (2, 4, 5, 3) and found.colours.dtype == np.uint8
    assert found.shares[0] > found.shares[1] > found.shares[2] > 0 and abs(sum(found.shares) - 1) < 1e-4
    for channel in range(3):
        colours = found.colours[..., channel].ravel().astype(float)
        assert abs(np.corrcoef(colours, weights[..., channel].ravel())[0, 1]) > 0.9
        assert colours.min() == 0 and colours.max() == 255


def test_one_analysis_is_of_all_photos():
    values, _ = features()
    together, twice = feature_colours(values), feature_colours(np.concatenate([values, values]))
    assert np.array_equal(twice.colours[:2], twice.colours[2:])
    np.testing.assert_allclose(twice.shares, together.shares, rtol=1e-6)


def test_the_sign_is_not_free():
    values, _ = features()
    assert np.array_equal(feature_colours(values).colours, feature_colours(values + 5).colours)


def test_equal_features_have_one_colour():
    found = feature_colours(np.ones((1, 2, 2, 4), np.float32))
    assert found.shares == (0, 0, 0) and len(np.unique(found.colours.reshape(-1, 3), axis=0)) == 1


def test_what_photos_have_in_common_at_a_place_is_found():
    rng = np.random.default_rng(0)
    place, content = rng.normal(size=(4, 5, 8)), rng.normal(size=(200, 1, 1, 8))
    place -= place.mean((0, 1))
    content = content + np.zeros((1, 4, 5, 1))
    found = at_places(place * 2 + content + 7)
    np.testing.assert_allclose(found.common, place * 2, atol=0.02)
    spread = ((place * 2) ** 2).mean()
    assert abs(found.share - spread / (spread + content.var((0, 1, 2)).mean())) < 0.02
    assert at_places(np.ones((2, 2, 2, 3))).share == 0
