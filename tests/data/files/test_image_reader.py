"""Image files are read exactly, or refused in one line."""

import io
import pickle
import re
import struct
import zlib
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image, ImageOps

from mae_transfer.data.files.image_reader import ImageReader
from mae_transfer.data.files.image_values import UnexpectedValues
from mae_transfer.errors import UserError
from tests.data.written import by_opencv, content, npy, pillow, tiff, values


def check_exact(path, array: np.ndarray) -> None:
    """All bands, and some in another order, are what was written: uint8 stays, all else is rounded to float32."""
    channels = array.shape[2]
    for numbers in {tuple(range(1, channels + 1)), (channels, 1)[: min(channels, 2)]}:
        expected = array[..., np.array(numbers) - 1]
        expected = expected.astype(np.uint8 if array.dtype in (np.uint8, np.bool_) else np.float32)
        for source in (path, path.read_bytes()):
            found = ImageReader(numbers)(source)
            assert found.dtype == expected.dtype and found.flags.c_contiguous
            assert np.array_equal(found, expected), numbers


@pytest.mark.parametrize('layout', ['contig', 'separate', 'pages'])
@pytest.mark.parametrize('channels', [1, 3, 4, 13])
@pytest.mark.parametrize('dtype', ['uint8', 'uint16', 'int16', 'float32', 'float64', 'uint32'])
def test_tiff(dtype, channels, layout, tmp_path):
    array = values(dtype, channels)
    for order in '<>':
        for compression in (None, 'deflate'):
            settings = dict(byteorder=order, compression=compression)
            check_exact(tiff(tmp_path / 'a.tif', array, layout, **settings), array)


@pytest.mark.parametrize(
    'settings',
    [dict(tile=(16, 16)), dict(bigtiff=True), dict(rowsperstrip=3), dict(compression='deflate', predictor=True)],
)
def test_forms_of_tiff(settings, tmp_path):
    if 'predictor' in settings:
        pytest.importorskip('imagecodecs')
    array = values('uint16', 4, (40, 50))
    check_exact(tiff(tmp_path / 'a.tif', array, **settings), array)


@pytest.mark.parametrize('dtype', ['uint8', 'uint16', 'float32'])
def test_tiffs_as_tifffile_and_imagej_write_them(dtype, tmp_path):
    array, path = values(dtype, 13), tmp_path / 'a.tif'
    for written, settings in (
        (np.moveaxis(array, 2, 0), {}),
        (np.moveaxis(array, 2, 0), dict(imagej=True)),
        (array, dict(photometric='minisblack')),
        (array, dict(photometric='minisblack', planarconfig='contig')),
    ):
        tifffile.imwrite(path, written, **settings)
        check_exact(path, array)


@pytest.mark.parametrize('layout, channels', [('last', 4), ('first', 4), ('fortran', 13), ('grey', 1), ('last', 16)])
@pytest.mark.parametrize('dtype', ['uint8', 'uint16', 'int16', '>u2', 'float32', '>f4', 'float64', 'float16', 'bool'])
def test_npy(dtype, layout, channels, tmp_path):
    array = values(dtype, channels)
    check_exact(npy(tmp_path / 'a.npy', array, layout), array)


@pytest.mark.parametrize('dtype', ['uint8', 'uint16'])
@pytest.mark.parametrize(
    'suffix, channels', [('png', 1), ('png', 3), ('png', 4), ('pgm', 1), ('ppm', 3), ('jp2', 1), ('jp2', 3), ('jp2', 4)]
)
def test_other_formats(suffix, channels, dtype, tmp_path):
    array = values(dtype, channels, (40, 40))
    check_exact(by_opencv(tmp_path / f'a.{suffix}', array), array)


def test_grey_with_transparency_of_16_bits(tmp_path):
    """Pillow and OpenCV make four channels of it."""
    array, path = values('uint16', 2), tmp_path / 'a.png'
    rows = b''.join(b'\0' + row.astype('>u2').tobytes() for row in array)
    header = struct.pack('>IIBBBBB', 18, 19, 16, 4, 0, 0, 0)
    chunks = ((b'IHDR', header), (b'IDAT', zlib.compress(rows)), (b'IEND', b''))
    parts = [
        struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data)) for kind, data in chunks
    ]
    path.write_bytes(b'\x89PNG\r\n\x1a\n' + b''.join(parts))
    check_exact(path, array)


@pytest.mark.parametrize('channels', [1, 3])
def test_12_bits_in_a_pnm(channels, tmp_path):
    array = values('uint16', channels) >> 4
    kind, path = {1: b'P5', 3: b'P6'}[channels], tmp_path / 'a.pnm'
    path.write_bytes(kind + b' 18 19 4095\n' + array.astype('>u2').tobytes())
    check_exact(path, array)


def test_12_bits_in_jpeg_2000(tmp_path):
    """Pillow would multiply the values by 16."""
    array = values('uint16', 1, (40, 40)) >> 4
    stored = array[..., 0] + np.uint16(32768 - 2048)  # values are stored by their distance to half of the range
    data = bytearray(content(Image.fromarray(stored).save, 'JPEG2000', irreversible=False))
    data[data.find(b'\xff\x51') + 40] = data[data.find(b'ihdr') + 14] = 11
    (tmp_path / 'a.jp2').write_bytes(data)
    check_exact(tmp_path / 'a.jp2', array)


@pytest.mark.parametrize('suffix, mode', [('png', 'P'), ('png', 'RGBA'), ('png', 'LA'), ('gif', 'P'), ('png', '1')])
def test_bands_of_8_bit_pictures_are_their_colours(suffix, mode, tmp_path):
    path = pillow(tmp_path / f'a.{suffix}', values('uint8', 3), mode)
    with Image.open(path) as file:
        colours = np.asarray(file.convert('RGB') if mode == 'P' else file)
    array = colours.reshape(*colours.shape[:2], -1)
    check_exact(path, array)


# 'RGB' and 'L'


@pytest.mark.parametrize('bands', ['RGB', 'L'])
@pytest.mark.parametrize(
    'suffix, mode',
    [
        *((suffix, mode) for suffix in ('png', 'tif') for mode in ('1', 'L', 'LA', 'P', 'RGB', 'RGBA')),
        *(('jpg', mode) for mode in ('L', 'RGB', 'CMYK')),
        *(('gif', 'P'), ('tif', 'CMYK'), ('webp', 'RGBA'), ('bmp', 'RGB'), ('ppm', 'RGB'), ('jp2', 'RGB')),
    ],
)
def test_8_bit_pictures_are_as_pillow_converts_them(suffix, mode, bands, tmp_path):
    path = pillow(tmp_path / f'a.{suffix}', values('uint8', 3, (40, 40)), mode)
    with Image.open(path) as file:
        expected = np.asarray(file.convert(bands))
    for source in (path, path.read_bytes()):
        found = ImageReader(bands)(source)
        assert found.mode == bands and np.array_equal(np.asarray(found), expected)


@pytest.mark.parametrize('layout', ['last', 'grey'])
def test_8_bit_arrays_as_pictures(layout, tmp_path):
    array = values('uint8', 3)
    found = ImageReader('RGB')(npy(tmp_path / 'a.npy', array, layout))
    assert np.array_equal(found, array if layout == 'last' else array[..., :1].repeat(3, 2))


DEEP = {
    '16-bit grey PNG': (lambda path: by_opencv(path / 'a.png', values('uint16', 1)), '1 channel of uint16', '1'),
    '16-bit RGB PNG': (lambda path: by_opencv(path / 'a.png', values('uint16', 3)), '3 channels of uint16', '(1,2,3)'),
    '16-bit RGB TIFF': (lambda path: tiff(path / 'a.tif', values('uint16', 3)), '3 channels of uint16', '(1,2,3)'),
    '12 bits in 16': (lambda path: tiff(path / 'a.tif', values('uint16', 1) >> 4), '1 channel of uint16', '1'),
    'float TIFF 0..1': (lambda path: tiff(path / 'a.tif', values('float32', 1) % 1), '1 channel of float32', '1'),
    '16-bit JPEG 2000': (
        lambda path: by_opencv(path / 'a.jp2', values('uint16', 3, (40, 40))), '3 channels of uint16', '(1,2,3)',
    ),
    '16-bit PPM': (lambda path: by_opencv(path / 'a.ppm', values('uint16', 3)), '3 channels of uint16', '(1,2,3)'),
    '4 bands': (lambda path: tiff(path / 'a.tif', values('uint8', 4)), '4 channels of uint8', '(1,2,3,4)'),
    '3 pages': (lambda path: tiff(path / 'a.tif', values('uint8', 3), 'pages'), '3 channels of uint8', '(1,2,3)'),
    '13 bands': (
        lambda path: npy(path / 'a.npy', values('uint16', 13)),
        '13 channels of uint16',
        '(1,2,3,4,5,6,7,8,9,10,11,12,13)',
    ),
    '2 bands': (lambda path: npy(path / 'a.npy', values('uint8', 2)), '2 channels of uint8', '(1,2)'),
}  # fmt: skip


@pytest.mark.parametrize('bands', ['RGB', 'L'])
@pytest.mark.parametrize('name', DEEP)
def test_other_values_are_refused_as_pictures(name, bands, tmp_path):
    write, found, advice = DEEP[name]
    path = write(tmp_path)
    with pytest.raises(UnexpectedValues) as error:
        ImageReader(bands)(path)
    says = f"has {found}, but bands='{bands}' reads 8-bit grey or colours: set bands={advice}, or the bands"
    assert str(error.value).startswith(says) and '\n' not in str(error.value)
    if name != '2 bands':  # an array of which the first and the last axis are short
        with pytest.raises(UserError, match=f'^{path} has {found}, but '):
            ImageReader(bands).examine([path])
    ImageReader(advice)(path)  # the advice works


# Bands that do not fit


def test_a_band_that_does_not_exist(tmp_path):
    path = tiff(tmp_path / 'a.tif', values('uint16', 4))
    line = r'has 4 channels of uint16, but bands=\(1, 5\) names band 5: bands count from 1$'
    with pytest.raises(UnexpectedValues, match=line):
        ImageReader((1, 5))(path)
    with pytest.raises(UserError, match=f'^{path} {line}'):
        ImageReader((1, 5)).examine([path])


@pytest.mark.parametrize('first, second', [('uint8', 'uint16'), ('uint16', 'float32'), ('bool', 'uint8')])
def test_files_of_several_types_are_refused(first, second, tmp_path):
    paths = [npy(tmp_path / f'{i}.npy', values(dtype, 1)) for i, dtype in enumerate((first, second))]
    line = f'has values of {second}, but other files have {first}: convert all to one type and scale'
    with pytest.raises(UserError, match=f'^{paths[1]} {line}'):
        ImageReader((1,)).examine(paths)
    reader = ImageReader((1,))
    reader(paths[0])
    with pytest.raises(UnexpectedValues, match=line):
        reader(paths[1])


@pytest.mark.parametrize('value', [np.nan, np.inf])
def test_values_that_are_no_finite_numbers(value, tmp_path):
    array = values('float64', 2)
    array[3, 4, 1] = value
    path = npy(tmp_path / 'a.npy', array)
    with pytest.raises(UnexpectedValues, match='has 1 of 684 values that are NaN or inf'):
        ImageReader((1, 2))(path)
    ImageReader((1,))(path)


@pytest.mark.parametrize(
    'array, line',
    [
        (values('float64', 1) * 1e300, 'has 342 of 342 values beyond the range of float32, up to 3e+303: scale them'),
        (
            1e9 + values('uint8', 1).astype('float64'),
            'has values from 1000000000 to 1000000255, which float32 does not tell apart: subtract an offset',
        ),
        (
            2**40 + values('uint8', 1).astype('int64'),
            'has values from 1.099511628e+12 to 1.099511628e+12, which float32 does not tell apart: subtract an offset',
        ),
    ],
)
def test_values_that_float32_does_not_hold(array, line, tmp_path):
    with pytest.raises(UnexpectedValues) as caught:
        ImageReader((1,))(npy(tmp_path / 'a.npy', array))
    assert re.sub(r'3\.\d+e\+303', '3e+303', str(caught.value)) == line


@pytest.mark.parametrize('value', [0.1, 1e-30, 1e30, -7.0])
def test_a_constant_that_is_rounded_is_read(value, tmp_path):
    array = np.full((5, 6, 1), value)
    array[2] = value * (1 + 1e-15)  # as a computation leaves it
    assert np.array_equal(ImageReader((1,))(npy(tmp_path / 'a.npy', array)), array.astype('float32'))


def _zip(path: Path) -> Path:
    with open(path, 'wb') as stream:
        np.savez(stream, a=values('uint8', 1))
    return path


def _pickled(path: Path) -> Path:
    path.write_bytes(pickle.dumps(values('uint8', 1)))
    return path


NO_NUMBERS = {
    'complex': (values('float32', 1).astype('complex64'), 'has values of complex64, which are no real numbers: save a '
                'band for each part'),
    'fields': (np.zeros((5, 6), [('r', 'u1')]), 'which are no real numbers: save an array of numbers'),
    'text': (np.full((5, 6), 'a'), 'has values of <U1, which are no real numbers: save an array of numbers'),
    'dates': (np.zeros((5, 6), 'datetime64[s]'), 'which are no real numbers'),
    'nothing': (np.zeros((0, 6, 3)), r'has an array of shape (0, 6, 3), which holds no values'),
    'no channel': (np.zeros((5, 6, 0)), r'has an array of shape (5, 6, 0), which holds no values'),
    'objects': (np.array([None, {}], object), 'holds Python objects, which are not read, as they may run code'),
    'NPZ': (_zip, 'is a ZIP archive, as NPZ files are: save each array by numpy.save, as .npy'),
    'pickle': (_pickled, 'is a pickle, which is not read, as it may run code: save the array by numpy.save'),
}  # fmt: skip


@pytest.mark.parametrize('bands', ['RGB', (1,)])
@pytest.mark.parametrize('name', NO_NUMBERS)
def test_arrays_that_are_no_images(name, bands, tmp_path):
    """Whatever the bands, the advice is not to set others."""
    given, line = NO_NUMBERS[name]
    path = tmp_path / 'a.npy'
    given(path) if callable(given) else np.save(path, given)
    reader = ImageReader(bands)
    for read, source in ((reader, path), (reader.examine_file, path), (reader, path.read_bytes())):
        with pytest.raises(UnexpectedValues) as caught:
            read(source)
        assert line in str(caught.value)


def test_pickled_objects_run_no_code(tmp_path):
    class Evil:
        def __reduce__(self):
            return (tmp_path / 'ran').touch, ()

    np.save(tmp_path / 'a.npy', np.array([Evil()], object))
    with pytest.raises(UnexpectedValues):
        ImageReader((1,))(tmp_path / 'a.npy')
    assert not (tmp_path / 'ran').exists()


@pytest.mark.parametrize('white', [0, 1])
def test_grey_scales_of_both_directions_are_not_mixed(white, tmp_path):
    paths = []
    for number, kind in enumerate(('minisblack', 'miniswhite') if white else ('miniswhite', 'minisblack')):
        paths.append(tmp_path / f'{number}.tif')
        tifffile.imwrite(paths[-1], values('uint8', 1)[..., 0], photometric=kind, metadata=None)
    here, there = ('white', 'black') if white else ('black', 'white')
    line = f'has 0 as {here}, but other files have 0 as {there}: save all alike'
    with pytest.raises(UserError, match=f'^{paths[1]} {line}'):
        ImageReader((1,)).examine(paths)
    reader = ImageReader((1,))
    reader(paths[0])
    with pytest.raises(UnexpectedValues, match=line):
        reader(paths[1])
    one, other = (np.asarray(ImageReader('L')(path)).astype(int) for path in paths)
    assert np.array_equal(one, 255 - other)  # as Pillow and OpenCV show them


def test_the_advice_for_axes_that_cannot_be_told_works(tmp_path):
    array = values('uint16', 200, (20, 24))
    for write in (np.save, tifffile.imwrite):
        path = tmp_path / ('a.npy' if write is np.save else 'a.tif')
        write(path, array)
        with pytest.raises(UnexpectedValues, match='the first or the last axis: save it, as .H, W, C., by tifff'):
            ImageReader((1,))(path)
    tifffile.imwrite(path, array, photometric='minisblack', planarconfig='contig')
    assert np.array_equal(ImageReader((200, 1))(path), array[..., [199, 0]])


def test_the_line_about_many_bands_is_short(tmp_path):
    with pytest.raises(UnexpectedValues, match=r'set bands to those that the model is to see, e.g. bands=\(1,2,3\)'):
        ImageReader('RGB')(tiff(tmp_path / 'a.tif', values('uint16', 200)))


def test_a_palette_in_a_tiff_is_refused_as_bands_and_read_as_colours(tmp_path):
    path = pillow(tmp_path / 'a.tif', values('uint8', 3), 'P')
    with pytest.raises(UnexpectedValues, match='has a palette, whose indices are no values: save it as RGB'):
        ImageReader((1,))(path)
    ImageReader('RGB')(path)


@pytest.mark.skipif(find_spec('imagecodecs') is not None, reason='imagecodecs is installed')
def test_a_codec_that_is_not_installed(tmp_path):
    path = pillow(tmp_path / 'a.tif', values('uint8', 3), 'RGB', compression='tiff_lzw')
    with pytest.raises(
        UserError, match=f"^{path}: .*LZW.* requires the 'imagecodecs' package: pip install imagecodecs$"
    ):
        ImageReader((1,))(path)
    ImageReader('RGB')(path)  # Pillow has it


def test_only_headers_of_some_files_are_examined(tmp_path):
    paths = [npy(tmp_path / f'{i:02}.npy', values('uint8', 1)) for i in range(20)]
    paths[0].write_bytes(b'damaged')  # is left for later
    npy(paths[2], values('uint16', 1))  # not one of the eight
    ImageReader('L').examine(paths)
    npy(paths[-1], values('uint16', 1))
    with pytest.raises(UserError, match=f'^{paths[-1]} has 1 channel of uint16'):
        ImageReader('L').examine(paths)


# EXIF


@pytest.mark.parametrize('turned', [True, False])
@pytest.mark.parametrize('orientation', range(1, 9))
@pytest.mark.parametrize('suffix', ['jpg', 'png', 'tif'])
def test_exif_orientation(suffix, orientation, turned, tmp_path):
    path, exif = tmp_path / f'a.{suffix}', Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(values('uint8', 3)).save(path, exif=exif)
    with Image.open(path) as file:  # Pillow turns a TIFF itself
        expected = np.asarray(ImageOps.exif_transpose(file) if turned else file)
    for bands in ('RGB', (1, 2, 3)):
        assert np.array_equal(ImageReader(bands, exif_orientation=turned)(path), expected), bands


@pytest.mark.parametrize('orientation', range(1, 9))
def test_a_tiff_is_always_turned(orientation, tmp_path):
    array, path, exif = values('uint16', 5), tmp_path / 'a.tif', Image.Exif()
    exif[0x0112] = orientation
    stored = content(Image.fromarray(array[..., :3].astype('uint8')).save, 'PNG', exif=exif)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(stored))))
    tiff(path, array, extratags=[(0x0112, 3, 1, orientation, True)])
    assert np.array_equal(ImageReader((1, 2, 3))(path).astype('uint16').astype('uint8'), expected)


@pytest.mark.parametrize('orientation', range(1, 9))
def test_exif_orientation_of_16_bit_grey(orientation, tmp_path):
    exif, path = Image.Exif(), tmp_path / 'a.png'
    exif[0x0112] = orientation
    Image.fromarray(values('uint16', 1)[..., 0]).save(path, exif=exif)
    with Image.open(path) as file:
        expected = np.asarray(ImageOps.exif_transpose(file))
    assert np.array_equal(ImageReader((1,), exif_orientation=True)(path)[..., 0], expected)


def test_an_array_can_become_a_tensor(tmp_path):
    """Arrays are writable and contiguous, so ``torch.from_numpy`` shares them."""
    found = ImageReader((2, 1))(npy(tmp_path / 'a.npy', values('uint16', 4), 'fortran'))
    assert found.flags.writeable and torch.from_numpy(found).is_contiguous()
