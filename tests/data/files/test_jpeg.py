"""JPEGs at the scale that is needed: both decoders give Pillow's pixels."""

import io

import numpy as np
import pytest
from PIL import Image

from mae_transfer.data.files import jpeg
from mae_transfer.data.files.jpeg import REDUCTIONS, decode_jpeg, jpeg_size


def encoded(width: int = 37, height: int = 21, mode: str = 'RGB', **settings) -> bytes:
    """A JPEG of a smooth picture with some noise."""
    rows, columns = np.mgrid[:height, :width]
    values = 127 + 80 * np.sin(rows / 5)[..., None] * np.cos(columns[..., None] / [3, 7, 11])
    values = values + np.random.default_rng(0).normal(0, 9, values.shape)
    image = Image.fromarray(values.clip(0, 255).astype(np.uint8)).convert(mode)
    file = io.BytesIO()
    image.save(file, 'JPEG', **settings)
    return file.getvalue()


def by_pillow(content: bytes, reduction: int) -> np.ndarray:
    image = Image.open(io.BytesIO(content))
    image.draft('RGB', (max(1, image.width // reduction), max(1, image.height // reduction)))
    return np.asarray(image.convert('RGB'))


@pytest.fixture(params=['simplejpeg', 'opencv'])
def decoder(request, monkeypatch):
    if request.param == 'opencv':
        monkeypatch.setattr(jpeg, 'simplejpeg', None)
    elif jpeg.simplejpeg is None:
        pytest.skip('simplejpeg is not installed')


@pytest.mark.parametrize('reduction', REDUCTIONS)
@pytest.mark.parametrize(
    'settings',
    [{}, dict(quality=95, subsampling=0), dict(progressive=True), dict(mode='L'), dict(width=640, height=479)],
)
def test_pixels_are_those_of_pillow(decoder, settings, reduction):
    content = encoded(**settings)
    found, expected = decode_jpeg(content, reduction), by_pillow(content, reduction)
    width, height = jpeg_size(content)
    assert found.shape == (-(-height // reduction), -(-width // reduction), 3)
    assert np.array_equal(found, expected)


@pytest.mark.parametrize('share', [0.3, 0.9])
def test_a_file_that_is_cut_short_is_left_to_pillow(decoder, share):
    content = encoded(640, 480)
    assert decode_jpeg(content[: int(share * len(content))]) is None


def test_the_orientation_of_the_file_is_not_applied(decoder):
    exif = Image.Exif()
    exif[0x0112] = 6
    content = encoded(40, 20, exif=exif)
    assert jpeg_size(content) == (40, 20) and decode_jpeg(content).shape == (20, 40, 3)


def test_the_size_is_that_of_the_picture_and_not_of_a_thumbnail_in_its_header():
    exif = Image.Exif()
    exif[0x9286] = encoded(8, 8).decode('latin1')  # a JPEG within a comment
    assert jpeg_size(encoded(40, 20, exif=exif)) == (40, 20)


def test_other_files_have_no_size_here():
    png = io.BytesIO()
    Image.new('RGB', (4, 4)).save(png, 'PNG')
    content = encoded()
    for other in (b'', b'\xff\xd8', png.getvalue(), encoded(mode='CMYK'), content[:30], b'\xff\xd8\xff\xda' + content):
        assert jpeg_size(other) is None
