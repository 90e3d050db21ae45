"""The sheet of masked photos, reconstructions and originals."""

import numpy as np
import pytest
import torch

from mae_transfer.pretraining import MAE
from mae_transfer.pretraining.masking import GridMasking, RandomMasking
from mae_transfer.visualization.reconstruction import masking_sheet, reconstruction_sheet
from mae_transfer.visualization.shown_bands import shown_bands
from tests.helpers import enlarge

MEAN = {3: (124, 116, 104), 1: (100, 100, 100)}


def mae(channels: int = 3, img_size=(16, 24), target: str = 'NormalizedPixelTarget') -> MAE:
    statistics = (
        dict(mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375))
        if channels == 3
        else dict(mean=(100.0,) * channels, std=(50.0,) * channels)
    )
    model = MAE(
        vit=dict(
            type='ViT',
            arch=dict(embed_dim=16, depth=1, num_heads=2),
            img_size=img_size,
            patch_size=4,
            in_channels=channels,
        ),
        masking=dict(type='RandomMasking', ratio=0.5),
        decoder=dict(type='MAEDecoder', embed_dim=16, depth=1, num_heads=2),
        target=dict(type=target),
        data_preprocessor=dict(type='PhotoPreprocessor', **statistics),
    )
    return enlarge(model).eval()


def batch(channels: int = 3, count: int = 2) -> dict:
    generator = torch.Generator().manual_seed(0)
    return dict(
        inputs=torch.randint(0, 256, (count, channels, 16, 24), dtype=torch.uint8, generator=generator),
        seeds=torch.arange(count),
    )


def cells(sheet: np.ndarray, rows: int, margin: int = 2) -> np.ndarray:
    """The pictures of a sheet, (rows, 3 columns, 16, 24, 3), after checking that the space between them is white."""
    assert sheet.shape == (rows * (16 + margin) - margin, 3 * (24 + margin) - margin, 3) and sheet.dtype == np.uint8
    rest, pictures = sheet.copy(), []
    for row in range(rows):
        for column in range(3):
            area = (
                slice(row * (16 + margin), row * (16 + margin) + 16),
                slice(column * (24 + margin), column * (24 + margin) + 24),
            )
            pictures.append(sheet[area])
            rest[area] = 255
    assert (rest == 255).all()
    return np.stack(pictures).reshape(rows, 3, 16, 24, 3)


def hidden_pixels(model: MAE, data: dict) -> np.ndarray:
    mask = model.mask(model.data_preprocessor(data)['inputs'], data['seeds']).as_image_order().reshape(-1, 4, 6)
    return mask.repeat_interleave(4, 1).repeat_interleave(4, 2).bool().numpy()


@pytest.mark.parametrize('channels', [1, 3])
@pytest.mark.parametrize('target', ['PixelTarget', 'NormalizedPixelTarget'])
def test_a_row_shows_visible_patches_reconstruction_and_photo(channels, target):
    model, data = mae(channels, target=target), batch(channels)
    pictures = cells(reconstruction_sheet(model, data), 2)
    photos = data['inputs'].expand(-1, 3, -1, -1).permute(0, 2, 3, 1).numpy()
    hidden = hidden_pixels(model, data)
    assert 0.4 < hidden.mean() < 0.6
    assert np.array_equal(pictures[:, 2], photos)
    assert np.array_equal(pictures[:, 0][~hidden], photos[~hidden])
    assert (pictures[:, 0][hidden] == MEAN[channels]).all()
    assert np.array_equal(pictures[:, 1][~hidden], photos[~hidden])
    assert not np.array_equal(pictures[:, 1][hidden], photos[hidden])


def test_the_middle_picture_is_the_model_s_reconstruction():
    model, data = mae(), batch()
    normalised = model.data_preprocessor(data)['inputs']
    expected = model.reconstruct(normalised, model.mask(normalised, data['seeds']))
    expected = model.data_preprocessor.to_uint8(expected).permute(0, 2, 3, 1).numpy()
    assert np.array_equal(cells(reconstruction_sheet(model, data), 2)[:, 1], expected)


def test_without_pasting_the_middle_picture_is_the_prediction_everywhere():
    model, data = mae(), batch()
    pasted, predicted = (cells(reconstruction_sheet(model, data, paste=paste), 2) for paste in (True, False))
    hidden = hidden_pixels(model, data)
    assert np.array_equal(pasted[:, 1][hidden], predicted[:, 1][hidden])
    assert not np.array_equal(pasted[:, 1][~hidden], predicted[:, 1][~hidden])
    assert np.array_equal(pasted[:, ::2], predicted[:, ::2])


def test_several_photos_in_a_row_headings_and_enlarging():
    model, data = mae(), batch(count=3)
    plain = cells(reconstruction_sheet(model, data), 3)
    sheet = reconstruction_sheet(model, data, per_row=2, zoom=2, headings=True)
    top, wide = sheet.shape[0] - (2 * 32 + 2), 3 * 48 + 2 * 2
    assert sheet.shape == (2 * 32 + 2 + top, 2 * wide + 8, 3) and 10 < top < 24
    assert (sheet[:top, :wide].min() < 128) and (sheet[:top, wide + 8 :].min() < 128)
    for number, (row, column) in enumerate([(0, 0), (0, 1), (1, 0)]):
        foot, left = top + row * 34, column * (wide + 8)
        triplet = sheet[foot : foot + 32, left : left + wide]
        for place in range(3):
            picture = triplet[:, place * 50 : place * 50 + 48]
            assert np.array_equal(picture, plain[number, place].repeat(2, 0).repeat(2, 1))
    assert (sheet[top + 34 :, wide:] == 255).all()


def test_maskings_side_by_side_show_what_each_hides():
    model, data = mae(), batch()
    maskings = {'few': RandomMasking(0.25), 'many': RandomMasking(0.75), 'grid': GridMasking(0.5)}
    sheet = masking_sheet(model, data, maskings)
    row = 2 * 16 + 2
    top = sheet.shape[0] - (2 * row + 6)
    assert sheet.shape == (2 * row + 6 + top, 4 * 26 - 2, 3) and top > 0
    inputs = model.data_preprocessor(data)['inputs']
    for photo in range(2):
        block = sheet[top + photo * (row + 6) :][:row]
        whole = data['inputs'][photo].permute(1, 2, 0).numpy()
        assert np.array_equal(block[18:, :24], whole) and (block[:16, :24] == 255).all()
        for place, masking in enumerate(maskings.values(), 1):
            above, below = (block[start : start + 16, place * 26 : place * 26 + 24] for start in (0, 18))
            mask = model.mask(inputs, data['seeds'], masking=masking)
            hidden = mask.as_picture((4, 6), 4)[photo, 0].bool().numpy()
            assert hidden.mean() == masking.ratio
            assert (above[hidden] == MEAN[3]).all() and np.array_equal(above[~hidden], whole[~hidden])
            rebuilt = model.data_preprocessor.to_uint8(model.reconstruct(inputs, mask))[photo].permute(1, 2, 0).numpy()
            assert np.array_equal(below, rebuilt)


def test_a_higher_ratio_hides_what_a_lower_one_hides_and_more():
    """Of one photo: its mask follows from its seed, so columns differ by the ratio alone."""
    model, data = mae(), batch()
    few, many = (model.mask(data['inputs'], data['seeds'], masking=RandomMasking(ratio)) for ratio in (0.5, 0.75))
    assert (many.as_image_order() >= few.as_image_order()).all()


def test_the_margin_can_be_chosen():
    model, data = mae(), batch(count=3)
    shown = [cells(reconstruction_sheet(model, data, margin=margin), 3, margin=margin) for margin in (2, 5)]
    assert np.array_equal(*shown)


@pytest.mark.parametrize('numbers', [(1,), (9,), (9, 4, 1)])
def test_bands_are_shown_with_one_stretch_for_a_row(numbers):
    model = mae(13)
    generator = torch.Generator().manual_seed(0)
    data = dict(inputs=torch.randn(2, 13, 16, 24, generator=generator) * 4000 + 9000, seeds=torch.arange(2))
    shown = shown_bands(range(1, 14), numbers)
    sheet = reconstruction_sheet(model, data, shown=shown)
    height = sheet.shape[0] // 2
    hidden = hidden_pixels(model, data)
    for row in range(2):
        photo = data['inputs'][row].movedim(0, 2).numpy()
        stretch = shown.stretch(photo)
        masked, rebuilt, whole = (
            sheet[row * height :][:16, column * 26 : column * 26 + 24].astype(int) for column in range(3)
        )
        assert np.abs(whole - stretch.picture(photo)).max() <= 1  # float32's rounding at the border of two greys
        assert np.array_equal(masked[~hidden[row]], whole[~hidden[row]])
        assert np.abs(rebuilt - whole)[~hidden[row]].max() <= 1 and not np.array_equal(rebuilt, whole)
        assert (masked[hidden[row]] == stretch.picture(np.full((1, 1, 13), 100.0))[0, 0]).all()
        caption = sheet[row * height + 18 : (row + 1) * height]
        assert (caption.min() < 128) and (caption[:, 60:] < 128).any()  # wider than the pictures, if need be
