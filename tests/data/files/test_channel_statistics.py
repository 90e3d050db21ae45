"""Mean and deviation of channels in one pass."""

import numpy as np
import pytest

from mae_transfer.data.files.channel_statistics import ChannelStatistics


def measured(images) -> ChannelStatistics:
    statistics = ChannelStatistics()
    for image in images:
        statistics.add(image)
    return statistics


@pytest.mark.parametrize('offset', [0.0, 1e6])
@pytest.mark.parametrize('channels', [1, 3, 16])
def test_they_are_those_of_all_pixels(channels, offset):
    rng = np.random.default_rng(0)
    images = [rng.normal(i + offset, 2 + i, (5 + i, 7, channels)) for i in range(6)]
    found, pixels = measured(images), np.concatenate([image.reshape(-1, channels) for image in images])
    assert found.images == 6 and found.pixels == len(pixels)
    np.testing.assert_allclose(found.mean, pixels.mean(0), rtol=1e-14)
    np.testing.assert_allclose(found.std, pixels.std(0), rtol=1e-9)
    assert np.array_equal(found.least, pixels.min(0)) and np.array_equal(found.greatest, pixels.max(0))


def test_integers_do_not_overflow():
    found = measured([np.full((4, 4, 1), value, np.uint16) for value in (0, 65535)])
    assert found.mean == 32767.5 and found.std == 32767.5


def test_a_constant_channel_has_no_deviation():
    image = np.stack([np.full((5, 7), 0.1, np.float32), np.arange(35.0).reshape(5, 7)], -1)
    assert measured([image] * 9).std[0] == 0 < measured([image] * 9).std[1]


@pytest.mark.parametrize(
    'mean, std, expected',
    [
        (123.675, 58.395, ('123.675', '58.395')),
        (1e6 + 0.123456, 2e-3, ('1000000.123456', '0.002')),
        (0.456, 1.5e-4, ('0.456', '0.00015')),
        (30123.456, 12345.678, ('30123.5', '12345.7')),
    ],
)
def test_settings_have_six_digits_of_the_deviation(mean, std, expected):
    found = measured([np.array([[[mean - std]], [[mean + std]]])])
    for text, number in zip(found.settings(), expected):
        assert eval(text) == pytest.approx((float(number),), abs=2e-6 * std)
