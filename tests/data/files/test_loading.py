"""Images that a pipeline of detection or segmentation cannot read, told in one line."""

import re

import cv2
import mmcv
import numpy as np
import pytest
from mmcv.transforms import BaseTransform, Compose, LoadImageFromFile, RandomApply
from PIL import Image

from mae_transfer.data.files.load_bands import LoadBands
from mae_transfer.data.files.loading import (
    check_files,
    decoding_fault,
    examine_images,
    reader_of,
    refuse_colour_transforms,
    run_pipeline,
)
from mae_transfer.errors import UserError
from tests.data.written import by_opencv, npy, pillow, tiff, values
from tests.helpers import save_photo

RGB = Compose([LoadImageFromFile()])
PIPELINES = {'RGB': RGB, 'bands': Compose([LoadBands((1,))])}


def run(pipeline, path):
    return run_pipeline(pipeline, dict(img_path=str(path)), str(path))['img']


@pytest.mark.parametrize(
    'transform, bands, turned',
    [
        (LoadImageFromFile(), 'RGB', True),
        (LoadImageFromFile(color_type='color_ignore_orientation'), 'RGB', False),
        (LoadImageFromFile(color_type='grayscale'), 'L', True),
        (LoadBands((3, 1), exif_orientation=False), (3, 1), False),
    ],
)
def test_the_reader_of_a_pipeline(transform, bands, turned):
    reader = reader_of(Compose([transform]))
    assert reader.bands == bands and reader.exif_orientation == turned


def test_a_pipeline_of_other_loaders_has_no_reader(tmp_path):
    pipeline = Compose([LoadImageFromFile(color_type='unchanged')])
    assert reader_of(pipeline) is None and reader_of(Compose([])) is None
    path = by_opencv(tmp_path / 'a.png', values('uint16', 3))
    examine_images(pipeline, [str(path)])
    assert run(pipeline, path).dtype == np.uint16


DEEP = {
    '16-bit PNG': lambda path: by_opencv(path / 'a.png', values('uint16', 3)),
    '12 bits in 16': lambda path: tiff(path / 'a.tif', values('uint16', 1) >> 4),
    'float TIFF': lambda path: tiff(path / 'a.tif', values('float32', 1)),
    '16-bit JPEG 2000': lambda path: by_opencv(path / 'a.jp2', values('uint16', 3, (40, 40))),
    'pages': lambda path: tiff(path / 'a.tif', values('uint8', 3), 'pages'),
    '4 bands': lambda path: tiff(path / 'a.tif', values('uint8', 4)),
}


@pytest.mark.parametrize('name', DEEP)
def test_other_values_than_8_bit_colours_are_refused(name, tmp_path):
    """OpenCV would cut them to 8 bits, or read the first band."""
    path = DEEP[name](tmp_path)
    for refuse in (lambda: run(RGB, path), lambda: examine_images(RGB, [str(path)])):
        with pytest.raises(
            UserError, match=rf"^{path} has .*, but bands='RGB' reads 8-bit grey or colours: set bands="
        ):
            refuse()


@pytest.mark.parametrize('mode', ['1', 'L', 'LA', 'P', 'RGB', 'RGBA'])
def test_8_bit_pictures_pass(mode, tmp_path):
    path = pillow(tmp_path / 'a.png', values('uint8', 3), mode)
    examine_images(RGB, [str(path)])
    assert np.array_equal(run(RGB, path)[..., ::-1], Image.open(path).convert('RGB'))


def test_files_that_opencv_does_not_read(tmp_path):
    path = npy(tmp_path / 'a.npy', values('uint8', 3))
    with pytest.raises(UserError, match=rf'^{path} is not read by OpenCV, .*: save it as a PNG, or set bands=\(1,2,3'):
        run(RGB, path)
    run(Compose([LoadBands((1, 2, 3))]), path)


@pytest.mark.parametrize('orientation', range(1, 9))
def test_a_turned_tiff(orientation, tmp_path):
    """OpenCV turns it as Pillow does, whatever the pipeline says."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = pillow(tmp_path / 'a.tif', values('uint8', 3), 'RGB', exif=exif)
    for color_type in ('color', 'color_ignore_orientation'):
        found = run(Compose([LoadImageFromFile(color_type=color_type)]), path)
        assert np.array_equal(found[..., ::-1], Image.open(path))


@pytest.mark.parametrize('name', PIPELINES)
@pytest.mark.parametrize(
    'content, reason',
    [
        (b'', r'is empty \(0 bytes\)'),
        (b'no image', r'is not an image, or is truncated \(8 bytes\)'),
        (None, 'cannot be read (No such file or directory)'.replace('(', r'\(').replace(')', r'\)')),
    ],
)
def test_unreadable_files(name, content, reason, tmp_path):
    path = tmp_path / 'a.png'
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=rf'^{path} {reason}: repair it, or remove it from the annotations$'):
        run(PIPELINES[name], path)
    assert decoding_fault(str(path)) is not None
    examine_images(PIPELINES[name], [str(path)])  # is left for later


@pytest.mark.parametrize('name', PIPELINES)
def test_a_fault_of_the_pipeline_is_no_fault_of_the_image(name, tmp_path):
    def fail(results):
        raise RuntimeError('ours')

    path = npy(tmp_path / 'a.npy', values('uint16', 2))
    if name == 'RGB':
        path = pillow(tmp_path / 'a.png', values('uint8', 3), 'RGB')
    pipeline = Compose([*PIPELINES[name].transforms, fail])
    with pytest.raises(RuntimeError, match='ours'):
        run(pipeline, path)


def test_files_of_several_types(tmp_path):
    paths = [npy(tmp_path / f'{i}.npy', values(dtype, 1)) for i, dtype in enumerate(('uint8', 'uint16'))]
    pipeline = Compose([LoadBands((1,))])
    with pytest.raises(UserError, match=f'^{paths[1]} has values of uint16, but other files have uint8'):
        examine_images(pipeline, [str(path) for path in paths])


def test_some_of_many_files_are_looked_for():
    asked = []
    check_files([str(i) for i in range(1000)], str, lambda path: asked.append(path) or True, most=5)
    assert asked == ['0', '250', '500', '749', '999']
    with pytest.raises(UserError, match=r'^file 2 \(2 of 3 checked files are missing\)'):
        check_files(['a', 'b', 'c'], lambda i: f'file {i + 1}', lambda path: path == 'a')


@pytest.mark.parametrize(
    'content, reason', [(b'', 'is empty (0 bytes)'), (b'x', 'is not an image, or is truncated (1 bytes)')]
)
def test_the_reason_is_told(tmp_path, content, reason):
    (tmp_path / 'a.jpg').write_bytes(content)
    assert decoding_fault(str(tmp_path / 'a.jpg')).startswith(reason)
    assert decoding_fault(str(save_photo(tmp_path / 'b.jpg'))) is None
    assert 'No such file' in decoding_fault(str(tmp_path / 'gone.jpg'))


def test_a_limit_is_no_damage(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise cv2.error("(-215:Assertion failed) pixels <= CV_IO_MAX_IMAGE_PIXELS in function 'validateInputImageSize'")

    monkeypatch.setattr(mmcv, 'imfrombytes', refuse)
    assert 'OPENCV_IO_MAX_IMAGE_PIXELS sets this' in decoding_fault(str(save_photo(tmp_path / 'b.jpg')))


class Jitter(BaseTransform):
    """A transform of colours."""

    def transform(self, results: dict) -> dict:
        return results


class Fill(Jitter):
    """Fills holes."""

    def __init__(self, fill_in: tuple):
        self.fill_in = fill_in


@pytest.mark.parametrize('bands', [(1, 2, 3, 4), (1, 2, 3), 'L'])
@pytest.mark.parametrize('within', [lambda step: step, lambda step: RandomApply([step]), lambda step: Compose([step])])
def test_transforms_of_colours_are_for_rgb(bands, within):
    loader = LoadBands(bands)
    line = rf"^the pipeline has Jitter, which is for bands='RGB', but bands are {re.escape(str(bands))}: leave it out$"
    with pytest.raises(UserError, match=line):
        refuse_colour_transforms(Compose([loader, within(Jitter())]), (Jitter,))
    refuse_colour_transforms(Compose([LoadImageFromFile(), within(Jitter())]), (Jitter,))
    refuse_colour_transforms(Compose([loader]), (Jitter,))


def test_a_filling_has_a_value_for_each_channel():
    line = r'Fill with fill_in of 3 values, for images of 4 channels: give one for each, e.g. fill_in=\(0, 0, 0, 0\)$'
    with pytest.raises(UserError, match=line):
        refuse_colour_transforms(Compose([LoadBands((1, 2, 3, 4)), Fill((0, 0, 0))]), ())
    refuse_colour_transforms(Compose([LoadBands((1, 2, 3, 4)), Fill((0, 0, 0, 0))]), ())


@pytest.mark.parametrize('name, suffix', [('a.dcm', '.dcm'), ('a.NII.gz', '.nii.gz'), ('a.h5', '.h5')])
def test_files_that_must_be_converted(name, suffix, tmp_path):
    (tmp_path / name).write_bytes(b'x' * 200)
    for pipeline in PIPELINES.values():
        with pytest.raises(UserError) as caught:
            run(pipeline, tmp_path / name)
        assert str(caught.value) == f'{tmp_path / name} is not read: convert {suffix} to TIFF or NPY, with all values'


@pytest.mark.parametrize(
    'content, reason',
    [
        (b'version https://git-lfs.github.com/spec/v1\n', 'is a pointer of Git LFS: run git lfs pull'),
        (b'<!DOCTYPE html><html></html>', 'is an HTML page, saved in place of an image'),
        (b'\0\0\0\x18ftypheic' + bytes(60), 'is HEIC: save it as JPEG'),
    ],
)
def test_what_the_first_bytes_tell_is_said_in_pipelines_too(content, reason, tmp_path):
    (tmp_path / 'a.jpg').write_bytes(content)
    assert decoding_fault(str(tmp_path / 'a.jpg')) == reason
