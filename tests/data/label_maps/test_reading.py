"""Files of label maps: every form of the same numbers is read alike, and what could be read wrongly is refused."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from PIL import Image

from mae_transfer.data.label_maps.reading import decode_label_map
from mae_transfer.errors import UserError
from tests.data.label_maps.label_forms import FORMS, channels, palette

LABELS = np.array([[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 2, 0]], np.uint8)


def read(path):
    return decode_label_map(path.read_bytes(), str(path))


@pytest.mark.parametrize('form', FORMS)
def test_every_form_gives_the_same_numbers(form, tmp_path):
    suffix, write = FORMS[form]
    write(LABELS, path := tmp_path / f'a{suffix}')
    numbers, said, colours = read(path)
    assert (colours is not None) == ('palette' in form)
    assert np.array_equal(numbers, LABELS) and numbers.dtype == np.uint8
    expected = {'channels': 'three equal channels', 'alpha': 'grey values with alpha', 'floats': 'whole floats'}
    assert said == next((line for word, line in expected.items() if word in form), '')


@pytest.mark.parametrize('suffix', ['.png', '.tif', '.bmp'])
def test_black_and_white_is_0_and_1(suffix, tmp_path):
    Image.fromarray(LABELS > 1).save(path := tmp_path / f'a{suffix}')
    assert np.array_equal(read(path).numbers, LABELS > 1)


@pytest.mark.parametrize('kind, scale, shift', [(np.uint16, 300, 0), (np.int32, 10**6, 0), (np.int32, 1, -1)])
def test_numbers_beyond_a_byte_are_kept(kind, scale, shift, tmp_path):
    numbers = LABELS.astype(kind) * scale + shift
    Image.fromarray(numbers).save(path := tmp_path / 'a.tif')
    assert np.array_equal(read(path).numbers, numbers)


def white_is_zero(path):
    Image.fromarray(LABELS).save(path, tiffinfo={262: 0})
    with Image.open(path) as image:
        assert image.tile[0][3][0] == 'L;I'


def damage(path):
    """Change the pixels of a PNG, which it notices by its check sum alone."""
    Image.fromarray(LABELS).save(path)
    content = path.read_bytes()
    place = content.index(b'IDAT') + 4
    pixels = zlib.compress(zlib.decompress(content[place:-16]).replace(b'\3', b'\2'))
    path.write_bytes(content[: place - 8] + len(pixels).to_bytes(4, 'big') + b'IDAT' + pixels + content[-16:])


REFUSED = {
    'JPEG': ('a.png', lambda path: Image.fromarray(LABELS).save(path, 'JPEG'), 'is a JPEG file, which may change the'),
    'WebP': ('a.png', lambda path: Image.fromarray(channels(LABELS)).save(path, 'WEBP'), 'is a WEBP file, which may'),
    'PGM': ('a.png', lambda path: Image.fromarray(LABELS).save(path, 'PPM'), 'is a PPM file, which may'),
    'pages': (
        'a.tif',
        lambda path: Image.fromarray(LABELS).save(path, save_all=True, append_images=[Image.fromarray(LABELS)]),
        'has 2 pages: give a file with one',
    ),
    'colours': (
        'a.png',
        lambda path: palette(LABELS).convert('RGB').save(path),
        r'is a colour image \(mode RGB\): give',
    ),
    'CMYK': ('a.tif', lambda path: palette(LABELS).convert('CMYK').save(path), r'is a colour image \(mode CMYK\)'),
    'floats': (
        'a.tif',
        lambda path: Image.fromarray(LABELS / np.float32(2)).save(path),
        'holds floats, and 4 of its 12 pixels are not whole numbers, e.g. 0.5: give one whole number per pixel',
    ),
    'NaN': (
        'a.tif',
        lambda path: Image.fromarray(np.where(LABELS > 2, np.nan, LABELS).astype(np.float32)).save(path),
        'holds floats, and 2 of its 12 pixels are not whole numbers, e.g. nan',
    ),
    'transparent': (
        'a.png',
        lambda path: Image.fromarray(channels(LABELS, LABELS * 80)).save(path),
        r'has transparent pixels \(mode RGBA\), and transparency is no label: save it without alpha',
    ),
    'white is 0': ('a.tif', white_is_zero, 'has a grey scale in which 0 is white: save it with 0 as black'),
    'GIF': (
        'a.gif',
        lambda path: palette(LABELS).save(path),
        'is a GIF file, which may change the numbers: save it as PNG',
    ),
    'text': ('a.png', lambda path: path.write_text('labels'), 'cannot be read: it is no picture, or is damaged'),
    'empty': ('a.png', lambda path: path.write_bytes(b''), 'cannot be read: it is no picture, or is damaged'),
    'check sum': ('a.png', damage, "cannot be read: broken PNG file .bad header checksum in b'IDAT'."),
    'cut short': (
        'a.png',
        lambda path: (Image.fromarray(LABELS).save(path), path.write_bytes(path.read_bytes()[:-30])),
        'cannot be read: ',
    ),
}


@pytest.mark.parametrize('case', REFUSED)
def test_what_could_be_read_wrongly_is_refused_in_one_line(case, tmp_path):
    name, write, says = REFUSED[case]
    write(path := tmp_path / name)
    with pytest.raises(UserError, match=says) as caught:
        read(path)
    assert '\n' not in str(caught.value) and str(caught.value).startswith(f'label map {path} ')
