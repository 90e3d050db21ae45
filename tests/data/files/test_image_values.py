"""What the values in a file are, from its header."""

import numpy as np
import pytest
import tifffile
from PIL import Image

from mae_transfer.data.files.image_values import ImageValues, UnexpectedValues, channels_of, image_values
from tests.data.written import by_opencv, npy, pillow, tiff, values


@pytest.mark.parametrize('layout', ['contig', 'separate', 'pages'])
@pytest.mark.parametrize('channels', [1, 3, 13])
@pytest.mark.parametrize('dtype', ['uint8', 'uint16', 'int16', 'float32', 'float64'])
def test_tiff(dtype, channels, layout, tmp_path):
    path = tiff(tmp_path / 'a.tif', values(dtype, channels), layout)
    assert image_values(path) == image_values(path.read_bytes()) == ImageValues(dtype, channels)


@pytest.mark.parametrize('dtype', ['uint8', 'uint16'])
@pytest.mark.parametrize(
    'suffix, channels', [('png', 1), ('png', 3), ('png', 4), ('pgm', 1), ('ppm', 3), ('jp2', 1), ('jp2', 3)]
)
def test_depth_of_other_formats(suffix, channels, dtype, tmp_path):
    path = by_opencv(tmp_path / f'a.{suffix}', values(dtype, channels, (40, 40)))
    assert image_values(path) == image_values(path.read_bytes()) == ImageValues(dtype, channels)


@pytest.mark.parametrize(
    'mode, suffix, expected',
    [
        ('1', 'png', ('bool', 1)),
        ('L', 'jpg', ('uint8', 1)),
        ('LA', 'png', ('uint8', 2)),
        ('RGB', 'jpg', ('uint8', 3)),
        ('CMYK', 'jpg', ('uint8', 4)),
        ('P', 'png', ('uint8', 3)),  # its colours
        ('P', 'gif', ('uint8', 3)),
        ('RGBA', 'png', ('uint8', 4)),
        ('I', 'tif', ('int32', 1)),
        ('F', 'tif', ('float32', 1)),
        ('I;16', 'png', ('uint16', 1)),
    ],
)
def test_modes_of_pillow(mode, suffix, expected, tmp_path):
    assert image_values(pillow(tmp_path / f'a.{suffix}', values('uint8', 3), mode)) == ImageValues(*expected)


def test_a_palette_with_transparency_has_four_channels(tmp_path):
    pillow(tmp_path / 'a.png', values('uint8', 3), 'P', transparency=0)
    assert image_values(tmp_path / 'a.png').channels == 4


@pytest.mark.parametrize('layout, channels', [('last', 13), ('first', 13), ('fortran', 4), ('grey', 1), ('last', 1)])
@pytest.mark.parametrize('dtype', ['uint8', '>u2', 'float32', 'bool'])
def test_npy(dtype, layout, channels, tmp_path):
    path = npy(tmp_path / 'a.npy', values(dtype, channels), layout)
    assert image_values(path) == ImageValues(np.dtype(dtype).name, channels)


def test_rows_that_tifffile_wrote_as_pages_are_rows(tmp_path):
    """``imwrite`` of an array (H, W, C) makes a page of each row, unless it is told of the channels."""
    tifffile.imwrite(tmp_path / 'a.tif', values('uint16', 13), photometric='minisblack')
    tifffile.imwrite(tmp_path / 'b.tif', np.moveaxis(values('uint16', 13), 2, 0))
    assert image_values(tmp_path / 'a.tif') == image_values(tmp_path / 'b.tif') == ImageValues('uint16', 13)


@pytest.mark.parametrize(
    'shape, axes, channels',
    [
        ((5, 6), 'YX', 1),
        ((5, 6, 3), 'YXS', 3),
        ((13, 5, 6), 'QYX', 13),
        ((1, 1, 5, 6), 'TCYX', 1),
        ((1, 4, 5, 6), 'TCYX', 4),
        ((1, 6), 'YX', 1),
        ((20, 30, 13), '', 13),
        ((13, 20, 30), '', 13),
        ((1, 20, 30), '', 1),
        ((9, 9, 200), '', 200),
        ((200, 9, 9), '', 200),
        ((2, 1, 1), '', 1),
        ((610, 340, 103), '', 103),
    ],
)
def test_the_axis_of_the_channels(shape, axes, channels):
    assert channels_of(shape, axes) == channels


@pytest.mark.parametrize(
    'shape, axes',
    [
        ((16, 16, 16), ''),
        ((20, 24, 200), ''),
        ((200, 20, 24), ''),
        ((0, 4, 3), ''),
        ((5,), ''),
        ((2, 3, 4, 5), ''),
        ((2, 3, 5, 6), 'TCYX'),
    ],
)
def test_channels_that_cannot_be_told_are_refused(shape, axes):
    with pytest.raises(UnexpectedValues, match=r'has an array of shape \('):
        channels_of(shape, axes)


def test_pages_in_a_circle(tmp_path):
    """A damaged file whose last page is followed by its first."""
    path = tiff(tmp_path / 'a.tif', values('uint8', 3), 'pages')
    with tifffile.TiffFile(path) as file:
        first, last = file.pages[0].offset, file.pages[2].offset
        count = len(file.pages[2].tags)
    content = bytearray(path.read_bytes())
    place = last + 2 + 12 * count
    assert content[place : place + 4] == b'\0\0\0\0'
    content[place : place + 4] = first.to_bytes(4, 'little')
    with pytest.raises(ValueError, match='more than 1024 pages'):
        image_values(bytes(content))


def test_more_pixels_than_pillow_decodes(monkeypatch, tmp_path):
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 100)
    with pytest.raises(Image.DecompressionBombError):
        image_values(tiff(tmp_path / 'a.tif', values('uint8', 1)))
