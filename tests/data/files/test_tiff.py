"""Which image of a TIFF is read, and what its header says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from mae_transfer.data.files.examination import note_remarks
from mae_transfer.data.files.image_reader import ImageReader
from mae_transfer.data.files.image_values import ImageValues, UnexpectedValues, image_values
from tests.data.written import tiff, values


def with_pages(path: Path, *pages: tuple[np.ndarray, dict]) -> Path:
    """A TIFF of several images with settings of each."""
    with tifffile.TiffWriter(path) as file:
        for array, settings in pages:
            photometric = 'rgb' if array.shape[2:] == (3,) else 'minisblack'
            contig = dict(planarconfig='contig') if array.ndim == 3 else {}
            file.write(array, **dict(dict(photometric=photometric, metadata=None), **contig, **settings))
    return path


@pytest.fixture
def told(monkeypatch) -> list[str]:
    lines: list[str] = []
    monkeypatch.setattr('mae_transfer.data.files.examination.warn_once', lines.append)
    return lines


@pytest.mark.parametrize('dtype, channels', [('uint16', 4), ('uint8', 3), ('uint8', 1)])
def test_a_thumbnail_in_front_is_not_the_image(dtype, channels, tmp_path):
    image = values(dtype, channels)
    thumbnail = image[::2, ::2, 0] if channels == 1 else image[::2, ::2, :3]
    path = with_pages(tmp_path / 'a.tif', (thumbnail, dict(subfiletype=1)), (image.squeeze(), {}))
    assert np.array_equal(ImageReader(tuple(range(1, channels + 1)))(path), image)
    with pytest.raises(UnexpectedValues, match="bands='RGB'") as caught:
        ImageReader('RGB')(path)
    if dtype == 'uint8':
        bands = '1' if channels == 1 else '(1,2,3)'
        assert str(caught.value).startswith(
            "has a thumbnail of 9 x 10 pixels in front, which bands='RGB' would read: save the image alone, or set "
            f'bands={bands}, '
        )


def test_overviews_behind_the_image_are_passed_over(tmp_path, told):
    image = values('uint16', 4)
    path = with_pages(tmp_path / 'a.tif', (image, {}), (image[::2, ::2], dict(subfiletype=1)))
    assert np.array_equal(ImageReader((1, 2, 3, 4))(path), image)
    note_remarks([path])
    assert not told


@pytest.mark.parametrize('other', [values('uint16', 4)[3:, 5:], values('float32', 4)])
def test_further_images_are_told(other, tmp_path, told):
    path = with_pages(tmp_path / 'a.tif', (values('uint16', 4), {}), (other, {}))
    assert np.array_equal(ImageReader((1, 2, 3, 4))(path), values('uint16', 4))
    ImageReader((1,)).examine([path])
    assert told == [
        '1 of 1 files examined hold 2 images of different size or type, of which the first is read, e.g. ' + str(path)
    ]


@pytest.mark.parametrize(
    'text, number',
    [('-9999', '-9999'), ('65535', '65535'), ('-3.4e+38', '-3.4e+38'), ('0', ''), ('nan', ''), ('x', '')],
)
def test_pixels_without_data_are_told(text, number, tmp_path, told):
    tag = (42113, 's', 0, text, True)  # GDAL's
    paths = [tmp_path / f'{i}.tif' for i in range(3)]
    for path in paths:
        tifffile.imwrite(path, values('float32', 1)[..., 0], photometric='minisblack', metadata=None, extratags=[tag])
    ImageReader((1,)).examine(paths)
    line = (
        f"3 of 3 files examined note {number} as 'no data', but such pixels are taken as values: give them a number "
        f'within the range of the others before you measure mean and std, e.g. {paths[0]}'
    )
    assert told == ([line] if number else [])


def test_white_as_0_is_told(tmp_path, told):
    tifffile.imwrite(tmp_path / 'a.tif', values('uint16', 1)[..., 0], photometric='miniswhite', metadata=None)
    assert image_values(tmp_path / 'a.tif') == ImageValues('uint16', 1, True)
    ImageReader((1,)).examine([tmp_path / 'a.tif'])
    assert told == [
        '1 of 1 files examined have a grey scale in which 0 is white: values are taken as they are stored '
        f"(bands='L' inverts 8 bits), e.g. {tmp_path}/a.tif"
    ]


@pytest.mark.parametrize(
    'names, bands',
    [
        (('T32_B02_10m.tif', 'T32_B8A_20m.tif'), True),
        (('LC08_SR_B4.TIF', 'LC08_SR_B5.TIF'), True),
        (('a.tif', 'b.tif'), False),
        (('B02.tif', 'x/B02.tif'), False),
        (('tumB1.tif', 'tumB2.tif'), False),
    ],
)
def test_files_of_one_band_each_are_told(names, bands, tmp_path, told):
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        tiff(tmp_path / name, values('uint16', 1))
    ImageReader((1,)).examine([tmp_path / name for name in names])
    line = (
        f'{names[0]} and {names[1]} look like bands of one scene, by their names, and each file is an image of its '
        'own: to see them together, stack the bands of a scene, at one resolution, in one file'
    )
    assert told == ([line] if bands else [])


@pytest.mark.parametrize('shape', [(24, 24, 200), (200, 24, 24), (30, 40, 13), (13, 30, 40), (60, 50, 20)])
def test_arrays_as_tifffile_writes_them_by_default(shape, tmp_path):
    """A page for each element of the first axis, bands or rows."""
    array = np.random.default_rng(0).integers(0, 9999, shape).astype('uint16')
    tifffile.imwrite(tmp_path / 'a.tif', array)
    first = shape in ((200, 24, 24), (13, 30, 40))
    expected = np.moveaxis(array, 0, 2) if first else array
    numbers = tuple(range(1, expected.shape[2] + 1))
    assert np.array_equal(ImageReader(numbers)(tmp_path / 'a.tif'), expected)


def test_damaged_files_print_nothing_of_their_own(tmp_path, capfd):
    (tmp_path / 'a.tif').write_bytes(b'II*\0' + bytes(40))
    with pytest.raises(ValueError, match='a TIFF without an image, or damaged'):
        image_values(tmp_path / 'a.tif')
    captured = capfd.readouterr()
    assert captured.out == captured.err == ''
