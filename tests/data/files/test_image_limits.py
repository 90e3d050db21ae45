"""What Pillow and tifffile have once for the whole process is put back."""

import logging

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from mae_transfer.data.files.image_limits import decoding_up_to, long_png_notes, quiet_tifffile
from mae_transfer.data.photos.labelled import LabelledPhotos
from mae_transfer.data.photos.unlabelled import Photos
from tests.helpers import save_photo


def state():
    return Image.MAX_IMAGE_PIXELS, PngImagePlugin.MAX_TEXT_CHUNK, logging.getLogger('tifffile').disabled


@pytest.mark.parametrize(
    'context', [lambda: decoding_up_to(12), lambda: decoding_up_to(None), long_png_notes, quiet_tifffile]
)
@pytest.mark.parametrize('fails', [False, True])
def test_it_is_put_back(context, fails):
    before = state()
    try:
        with context():
            assert state() != before
            assert not fails, 'on purpose'
    except AssertionError as error:
        assert 'on purpose' in str(error)
    assert state() == before


def test_twice_the_number_is_what_pillow_refuses(tmp_path):
    Image.fromarray(np.zeros((4, 5), np.uint8)).save(tmp_path / 'a.png')
    with decoding_up_to(20), Image.open(tmp_path / 'a.png') as image:
        assert image.size == (5, 4)
    with decoding_up_to(19), pytest.raises(Image.DecompressionBombError):
        Image.open(tmp_path / 'a.png')


def test_reading_data_sets_leaves_the_process_as_it_was(tmp_path):
    before = state()
    for name in ('a/0.png', 'a/1.tif', 'b/2.jpg'):
        save_photo(tmp_path / name)
    (tmp_path / 'b' / 'damaged.tif').write_bytes(b'II*\0' + bytes(40))
    for dataset in (
        Photos(str(tmp_path), hold_out=0, img_size=8),
        LabelledPhotos(str(tmp_path), None, img_size=8, skip_unreadable=True),
    ):
        assert len([dataset[index] for index in range(len(dataset))]) == 4
    assert state() == before
