"""Random crops: torchvision's draws, of pixels that were decoded at the scale that is needed."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision.transforms import InterpolationMode, v2

from mae_transfer.data.files import image_reader
from mae_transfer.data.files.image_reader import ImageReader
from mae_transfer.data.photos import random_crop
from mae_transfer.data.photos.random_crop import CropReader, Decoded, RandomSizeCrop
from mae_transfer.data.seeds import torch_seeded


def picture(width: int = 90, height: int = 70) -> Image.Image:
    """Smooth, as photos are, with sharp edges."""
    rows, columns = np.mgrid[:height, :width]
    waves = 127 + 100 * np.sin(rows / height * 9)[..., None] * np.cos(
        columns[..., None] / width * np.array([5, 11, 17])
    )
    waves[height // 3 : height // 2, width // 4 : width // 2] = (250, 10, 120)
    return Image.fromarray(waves.clip(0, 255).astype(np.uint8))


def by_torchvision(image: Image.Image, size: int | tuple[int, int], seed: int, scale=(0.2, 1.0)) -> torch.Tensor:
    crop = v2.RandomResizedCrop(size, scale=scale, interpolation=InterpolationMode.BICUBIC)
    with torch_seeded(seed):
        return v2.Compose([crop, v2.RandomHorizontalFlip(), v2.PILToTensor()])(image)


def saved(folder: Path, image: Image.Image, name: str = 'photo.jpg', **settings) -> Path:
    image.save(folder / name, **settings)
    return folder / name


@settings(deadline=None, max_examples=40)
@given(width=st.integers(1, 300), height=st.integers(1, 300), seed=st.integers(0, 2**62))
def test_crops_and_flips_are_those_of_torchvision(width, height, seed):
    image, size = picture(width, height), (24, 16)
    with torch_seeded(seed):
        found = RandomSizeCrop(size, (0.2, 1.0))(image)
    difference = (found.int() - by_torchvision(image, size, seed).int()).abs()
    assert found.shape == (3, *size) and found.dtype is torch.uint8
    assert difference.max() <= 2  # levels of 255, by the rounding of the resize


@pytest.mark.parametrize('mode', ['RGB', 'L'])
def test_grey_pictures_have_one_channel(mode):
    assert RandomSizeCrop(8, (0.2, 1.0))(picture().convert(mode)).shape == (len(mode), 8, 8)


@given(sides=st.tuples(st.integers(1, 4000), st.integers(1, 4000)))
def test_a_reduced_crop_has_twice_the_sides_of_the_result(sides):
    crop = RandomSizeCrop((32, 48), (0.2, 1.0))
    crop.box = lambda width, height: (0, 0, *sides)
    reduction = crop.reduction(*sides[::-1])
    assert reduction == 1 or (sides[0] / reduction >= 64 and sides[1] / reduction >= 96)
    assert reduction == 8 or sides[0] / (2 * reduction) < 64 or sides[1] / (2 * reduction) < 96


@pytest.mark.parametrize('name', ['photo.jpg', 'photo.png'])
@pytest.mark.parametrize('seed', range(5))
def test_a_large_photo_gives_the_same_crop_as_without_scaled_decoding(tmp_path, seed, name):
    path = saved(tmp_path, picture(1603, 1201), name)
    read = CropReader(RandomSizeCrop(64, (0.2, 1.0)), ImageReader(), lambda index: path, torch_seeded)
    image = read(0, seed)
    assert image.size == (1603, 1201) and (image.reduction >= 2 if name.endswith('jpg') else True)
    with torch_seeded(seed):
        found = read.crop(image)
    difference = (found.int() - by_torchvision(Image.open(path), 64, seed).int()).abs().float()
    # The box is rounded to a pixel of the decoded size, and libjpeg reduces by another filter.
    assert difference.mean() < 2


def test_crops_in_a_row_decode_a_photo_once(tmp_path, monkeypatch):
    decoded = []
    original = random_crop.decode_jpeg
    monkeypatch.setattr(random_crop, 'decode_jpeg', lambda *args: decoded.append(args) or original(*args))
    paths = [saved(tmp_path, picture(), name) for name in ('one.jpg', 'other.jpg')]
    read = CropReader(RandomSizeCrop(32, (0.2, 1.0)), ImageReader(), paths.__getitem__, torch_seeded)
    for index, seed in ((0, 0), (0, 1), (0, 2), (1, 3), (0, 4)):
        read(index, seed)
    assert len(decoded) == 3


def test_a_photo_that_was_decoded_too_small_is_decoded_again(tmp_path):
    path = saved(tmp_path, picture(1200, 900))
    read = CropReader(RandomSizeCrop(128, (0.02, 1.0)), ImageReader(), lambda index: path, torch_seeded)
    for seed in range(20):
        image = read(0, seed)
        with torch_seeded(seed):
            assert image.reduction <= read.crop.reduction(*image.size)


@pytest.mark.parametrize('orientation', range(1, 9))
@pytest.mark.parametrize('turns', [True, False])
def test_photos_are_turned_as_the_reader_says(tmp_path, orientation, turns):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(tmp_path, picture(), exif=exif, quality=95)
    reader = ImageReader(exif_orientation=turns)
    image = CropReader(RandomSizeCrop(64, (0.2, 1.0)), reader, lambda index: path, torch_seeded)(0, 0)
    assert isinstance(image, Decoded)
    assert np.array_equal(image.pixels, np.asarray(reader(path))) and image.size == reader(path).size


def test_what_pillow_refuses_is_refused(tmp_path, monkeypatch):
    path = saved(tmp_path, picture(640, 480))
    read = CropReader(RandomSizeCrop(16, (0.2, 1.0)), ImageReader(), lambda index: path, torch_seeded)
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(image_reader.UNREADABLE):
        read(0, 0)
    saved(tmp_path, picture(640, 480))
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 1000)
    with pytest.raises(Image.DecompressionBombError):
        read(0, 0)


@settings(deadline=None, max_examples=200)
@given(width=st.integers(1, 3000), height=st.integers(1, 3000), seed=st.integers(0, 2**62))
def test_the_box_is_that_of_torchvision(width, height, seed):
    crop = v2.RandomResizedCrop(8, scale=(0.2, 1.0))
    with torch_seeded(seed):
        expected = crop.make_params([torch.empty(1, height, width, device='meta')])
    with torch_seeded(seed):
        found = RandomSizeCrop(8, (0.2, 1.0)).box(width, height)
    assert found == tuple(expected[name] for name in ('top', 'left', 'height', 'width'))


DATA = Path(os.environ.get('MAE_TRANSFER_DATA', Path(__file__).parents[4] / 'shared' / 'data')) / 'photos1k'


@pytest.mark.skipif(not DATA.is_dir(), reason=f'no {DATA}: set MAE_TRANSFER_DATA to the folder that holds photos1k/')
@pytest.mark.parametrize('size, least, mean, most', [(224, 1, 0.1, 20), (48, 2, 1.0, 40)])
def test_on_photos_crops_differ_little_from_those_of_pillow(size, least, mean, most):
    """Against Pillow's resize of the same box, rounded to pixels that were decoded."""
    files = sorted(DATA.rglob('*.jp*g'))[:100]
    crop = RandomSizeCrop(size, (0.2, 1.0), hflip=0)
    read, differences = CropReader(crop, ImageReader(), files.__getitem__, torch_seeded), []
    for index, file in enumerate(files):
        image = read(index, index)
        if image.reduction < least:
            continue
        with torch_seeded(index):
            found = crop(image)
        with torch_seeded(index):
            (top, bottom), (left, right) = random_crop._reduced(crop.box(*image.size), image)
        box = [side * image.reduction for side in (left, top, right, bottom)]
        box = (*box[:2], min(box[2], image.size[0]), min(box[3], image.size[1]))
        expected = Image.open(file).convert('RGB').crop(box).resize((size, size), Image.Resampling.BICUBIC)
        differences.append((found.int() - torch.from_numpy(np.array(expected)).permute(2, 0, 1).int()).abs().float())
    means, largest = [d.mean().item() for d in differences], max(d.max().item() for d in differences)
    print(
        f'{size}: {len(means)} photos, levels of 255: {sum(means) / len(means):.3f} on average, {largest:.0f} at most'
    )
    assert len(means) > 50 and sum(means) / len(means) < mean and largest <= most
