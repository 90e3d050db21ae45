"""Pictures of chosen bands, stretched, with captions."""

from types import SimpleNamespace

import numpy as np
import pytest

from mae_transfer.data.files.image_reader import ImageReader
from mae_transfer.errors import UserError
from mae_transfer.visualization.shown_bands import ShownBands, shown_bands, shown_of, with_captions

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    'bands, chosen, numbers, places',
    [
        ((1,), None, (1,), (0,)),
        ((5, 4), None, (5,), (0,)),
        ((3, 2, 1, 7), None, (3, 2, 1), (0, 1, 2)),
        ((3, 2, 1, 7), '7,3,2', (7, 3, 2), (3, 0, 1)),
        ((3, 2, 1, 7), 7, (7,), (3,)),
        (range(1, 14), (8, 4, 3), (8, 4, 3), (7, 3, 2)),
    ],
)
def test_which_bands_are_shown(bands, chosen, numbers, places):
    assert shown_bands(bands, chosen) == ShownBands(numbers, places)


@pytest.mark.parametrize('chosen', ['5', (1, 2), (1, 2, 5), 'RGB', (1, 2, 3, 4)])
def test_bands_that_the_model_does_not_see(chosen):
    with pytest.raises(
        UserError, match=r'^bands_shown is one or three of bands=\(1, 2, 3, 4\), by their numbers in the'
    ):
        shown_bands((1, 2, 3, 4), chosen)


@pytest.mark.parametrize('bands', ['RGB', 'L'])
def test_pictures_are_shown_as_they_are(bands):
    assert shown_bands(bands) is None
    with pytest.raises(UserError, match=f"^bands='{bands}' are shown as they are: leave bands_shown out; found '1'"):
        shown_bands(bands, '1')


def test_the_bands_of_a_data_set():
    inner = SimpleNamespace(reader=ImageReader((4, 3, 2, 1)))
    wrapped = SimpleNamespace(dataset=SimpleNamespace(datasets=[inner, None]))
    for dataset in (inner, wrapped):
        assert shown_of(dataset, 4).numbers == (4, 3, 2)
    own = SimpleNamespace()
    assert shown_of(own, 3) is shown_of(own, 1) is None and shown_of(own, 5).numbers == (1, 2, 3)


@pytest.mark.parametrize('scale, offset', [(1, 0), (4095, 0), (1e-3, -5), (1e6, 1e6)])
@pytest.mark.parametrize('places', [(0,), (3, 0, 1)])
def test_percentiles_become_black_and_white(places, scale, offset):
    image = (RNG.random((40, 50, 5)) * scale + offset).astype(np.float32)
    stretch = ShownBands(tuple(place + 1 for place in places), places).stretch(image)
    picture = stretch.picture(image)
    assert picture.shape == (40, 50, 3) and picture.dtype == np.uint8
    for channel in range(3):
        values, shown = image[..., places[channel % len(places)]], picture[..., channel]
        black, white = np.percentile(values.astype(float), (2, 98))
        assert 0.015 < (shown == 0).mean() < 0.03 and 0.015 < (shown == 255).mean() < 0.03
        np.testing.assert_allclose(shown, ((values - black) / (white - black)).clip(0, 1) * 255, atol=0.51)


def test_the_same_stretch_for_another_image():
    stretch = ShownBands((1,), (0,)).stretch(np.linspace(0, 100, 101)[:, None, None])
    assert stretch.picture(np.array([[[-50.0]], [[2.0]], [[50.0]], [[98.0]], [[1e9]]]))[:, 0, 0].tolist() == [
        0,
        0,
        128,
        255,
        255,
    ]
    assert stretch.caption() == 'band 1: black 2, white 98'


def test_a_constant_band_is_black():
    assert ShownBands((1,), (0,)).stretch(np.full((3, 3, 1), 7)).picture(np.full((3, 3, 1), 7)).max() == 0


def test_a_caption_names_bands_and_values():
    image = np.stack([np.full((9, 9), value) for value in (1234.5678, 0.00012345, -3)], -1)
    caption = ShownBands((8, 4, 3), (0, 1, 2)).stretch(image).caption()
    assert caption == 'bands 8, 4, 3: black 1235, 0.0001234, -3, white 1235, 0.0001234, -3'


def test_captions_stand_below_their_pictures():
    rows = [np.full((10, width, 3), grey, np.uint8) for width, grey in ((30, 100), (400, 50))]
    sheet = with_captions(rows, ['band 1: black 1, white 2', 'two'], margin=2)
    assert sheet.shape[1] == 400 and np.array_equal(sheet[:10, :30], rows[0])
    below = sheet[12:].sum(-1)
    second = np.flatnonzero((sheet == 50).all((1, 2)))[0]
    assert np.array_equal(sheet[second : second + 10], rows[1])
    assert (
        (sheet[10:second] < 128).any()
        and (sheet[10:12] == 255).all()
        and (sheet[second + 10 :] < 128).any()
        and below.any()
    )
    assert with_captions(rows[:1], ['wider than the picture'], 2).shape[1] > 60
