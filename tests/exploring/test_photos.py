import numpy as np
import pytest
import torch
from PIL import Image

from mae_transfer.data.files.image_values import UnexpectedValues
from mae_transfer.data.files.photo_files import PhotoFiles
from mae_transfer.errors import UserError
from mae_transfer.exploring.photos import PagePhotos, check_sides, held_out
from mae_transfer.settings import change_settings
from tests.exploring.subjects import PATCH, mae
from tests.helpers import photo_folder, save_photo


def page_photos(*folders, bands='RGB'):
    files = [PhotoFiles(folder, sorted(file.name for file in folder.iterdir())) for folder in folders]
    return PagePhotos(files, (32, 32), bands, False, PATCH)


def test_photos_of_several_folders_are_numbered_in_a_row(tmp_path):
    photos = page_photos(photo_folder(tmp_path / 'a', 3), photo_folder(tmp_path / 'b', 2))
    assert len(photos) == 5 and photos.name(4) == 'photo1.png' and photos[4].index == 4
    assert torch.equal(photos[4].pixels, photos[1].pixels) and photos[1].pixels.shape == (3, 32, 32)


def test_a_dropped_photo_is_seen_as_the_others_are(tmp_path):
    photos = page_photos(photo_folder(tmp_path / 'a', 3))
    dropped = photos.dropped(tmp_path / 'a' / 'photo2.png')
    assert dropped.name == 'photo2.png' and dropped.index is None
    assert torch.equal(dropped.pixels, photos[2].pixels)


def test_a_page_without_photos_takes_dropped_ones(tmp_path):
    photos = PagePhotos([], (32, 32), 'RGB', False, PATCH)
    assert len(photos) == 0 and photos.dropped(save_photo(tmp_path / 'x.png')).pixels.shape == (3, 32, 32)
    with pytest.raises(UserError, match='no photos on this page: drop one'):
        photos[0]


@pytest.mark.parametrize('mode', ['L', 'P', '1', 'CMYK', 'RGBA'])
def test_grey_palettes_cmyk_and_transparency_are_colours(mode, tmp_path):
    path = save_photo(tmp_path / ('x.tif' if mode == 'CMYK' else 'x.png'), mode=mode)
    assert PagePhotos([], (32, 32), 'RGB', False, PATCH).dropped(path).pixels.shape == (3, 32, 32)


def odd_file(kind, path):
    if kind == 'text':
        path.write_text('no image')
    elif kind == 'empty':
        path.write_bytes(b'')
    elif kind == 'cut':
        save_photo(path, size=(200, 200))
        path.write_bytes(path.read_bytes()[:2000])
    elif kind == '16 bits':
        Image.fromarray(np.full((40, 40), 3000, np.uint16)).save(path)
    elif kind == 'bands':
        np.save(path.open('wb'), np.zeros((40, 40, 7), np.uint8))
    elif kind == 'tiny':
        save_photo(path, size=(5, 40))
    elif kind == 'long':
        save_photo(path, size=(8, 200))


@pytest.mark.parametrize(
    ('kind', 'reason'),
    [
        ('text', r'x\.png cannot be read as an image$'),
        ('empty', r'x\.png is empty'),
        ('cut', r'x\.png cannot be read as an image'),
        ('16 bits', r"x\.png has 1 channel of uint16, but bands='RGB' reads 8-bit grey or colours: convert it$"),
        ('bands', r"x\.png has 7 channels of uint8, but bands='RGB' reads 8-bit grey or colours: convert it$"),
        ('tiny', r'x\.png has 5 x 40 pixels, less than a patch of the model: choose a photo of 8 x 8 pixels or more'),
        ('long', r'x\.png has 8 x 200 pixels, .* middle square'),
    ],
)
def test_an_odd_file_is_one_line(kind, reason, tmp_path):
    odd_file(kind, tmp_path / 'x.png')
    with pytest.raises(UserError, match=reason) as raised:
        PagePhotos([], (32, 32), 'RGB', False, PATCH).dropped(tmp_path / 'x.png')
    assert '\n' not in str(raised.value) and str(tmp_path) not in str(raised.value)


def test_a_tiny_photo_of_a_folder_is_one_line_too(tmp_path):
    photo_folder(tmp_path / 'a', 2)
    odd_file('tiny', tmp_path / 'a' / 'photo1.png')
    with pytest.raises(UserError, match='photo1.png has 5 x 40 pixels, less than a patch'):
        page_photos(tmp_path / 'a')[1]


def test_numbered_bands_are_read_as_they_are(tmp_path):
    np.save(tmp_path / 'x.npy', np.full((40, 40, 5), 900, np.uint16))
    photo = PagePhotos([], (32, 32), (5, 1), False, PATCH).dropped(tmp_path / 'x.npy')
    assert photo.pixels.shape == (2, 32, 32) and (photo.pixels == 900).all()
    with pytest.raises(UserError, match='names band 5'):
        PagePhotos([], (32, 32), (5, 1), False, PATCH).dropped(save_photo(tmp_path / 'rgb.png'))


def test_sides_that_are_long_enough():
    check_sides(np.zeros((8, 160, 3)), 8)
    with pytest.raises(UnexpectedValues, match='168 x 8'):
        check_sides(np.zeros((8, 168, 3)), 8)


def test_the_photos_that_a_run_held_out(tmp_path):
    cfg = mae(photo_folder(tmp_path / 'a')).cfg
    (files,) = held_out(cfg)
    assert len(files) == 8
    photo_folder(tmp_path / 'b', 2)
    roots = change_settings(cfg, [('test_dataloader.dataset.data_root', [str(tmp_path / name) for name in 'ab'])])
    assert [len(files) for files in held_out(roots)] == [8, 2]
    gone = change_settings(cfg, [('test_dataloader.dataset.data_root', str(tmp_path / 'gone'))])
    with pytest.raises(UserError, match='gone does not exist'):
        held_out(gone)
