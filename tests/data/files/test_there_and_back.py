"""Values of every depth through data sets, crops, batches and normalisation, and back: exact, or rounded as stated."""

import numpy as np
import pytest
import torch
from torchvision.transforms import v2

from mae_transfer.classify.preprocessor import LabelledPreprocessor
from mae_transfer.data import (
    CentreCrop,
    FineTuneCrop,
    LabelledPhotos,
    Photos,
    ProbeCrop,
    collate_labelled,
    collate_photos,
)
from mae_transfer.data.photos.crops import InRange
from mae_transfer.errors import UserError
from mae_transfer.pretraining import PhotoPreprocessor
from tests.data.written import by_opencv, npy, tiff, values

KINDS = [('uint8', 1), ('uint8', 4), ('uint16', 1), ('uint16', 13), ('int16', 3), ('float32', 13), ('float64', 16)]


def bands(channels: int) -> tuple[int, ...]:
    return tuple(range(channels, 0, -1))


def expected(array: np.ndarray) -> torch.Tensor:
    """(C, H, W): all bands backwards, uint8 or float32."""
    array = array[..., ::-1].astype(np.uint8 if array.dtype == np.uint8 else np.float32)
    return torch.from_numpy(np.ascontiguousarray(array)).movedim(2, 0)


def tolerance(array: torch.Tensor, mean: torch.Tensor) -> float:
    """float32's rounding of a difference, a quotient and their inverses: some 1e-7 of the largest number."""
    return 4 * torch.finfo(torch.float32).eps * float(array.abs().max() + mean.abs().max())


@pytest.mark.parametrize('dtype, channels', KINDS)
def test_pretraining(dtype, channels, tmp_path):
    arrays = [values(dtype, channels, (24, 24), seed) for seed in range(2)]
    for i, array in enumerate(arrays):
        tiff(tmp_path / f'{i}.tif', array)
    photos = Photos(str(tmp_path), 'val', 24, hold_out=1.0, bands=bands(channels))
    photos.transform = CentreCrop(24, crop_pct=1.0)  # the image's own size
    batch = collate_photos([photos[0], photos[1]])
    whole = torch.stack([expected(array) for array in arrays])
    assert batch['inputs'].dtype == whole.dtype and torch.equal(batch['inputs'], whole)
    mean, std = whole.double().mean((0, 2, 3)), whole.double().std((0, 2, 3))
    preprocessor = PhotoPreprocessor(tuple(mean.tolist()), tuple(std.tolist()))
    normalised = preprocessor(batch)['inputs']
    assert normalised.mean((0, 2, 3)).abs().max() < 1e-4 and (normalised.std((0, 2, 3)) - 1).abs().max() < 1e-4
    back = preprocessor.to_values(normalised)
    assert (back - whole).abs().max() <= tolerance(whole.float(), mean)
    if dtype in ('uint8', 'uint16', 'int16'):
        assert torch.equal(back.round(), whole.float())


@pytest.mark.parametrize('dtype, channels', KINDS)
def test_classification(dtype, channels, tmp_path):
    array = values(dtype, channels, (24, 24))
    for label in 'ab':
        (tmp_path / 'val' / label).mkdir(parents=True)
        npy(tmp_path / 'val' / label / '0.npy', array, 'first')
    images = LabelledPhotos(
        str(tmp_path), 'val', transform=dict(type='CentreCrop', img_size=24, crop_pct=1.0), bands=bands(channels)
    )
    batch = collate_labelled([images[0], images[1]])
    assert torch.equal(batch['inputs'][1], expected(array))
    preprocessor = LabelledPreprocessor(2, mean=(7.0,) * channels, std=(3.0,) * channels)
    back = preprocessor.to_values(preprocessor(batch)['inputs'])
    assert (back[0] - expected(array)).abs().max() <= tolerance(expected(array).float(), torch.tensor(7.0))


@pytest.mark.parametrize('dtype', ['uint8', 'float32'])
def test_flips_are_exact(dtype):
    array = values(dtype, 5)
    found = InRange([v2.RandomHorizontalFlip(1.0)])(array)
    assert torch.equal(found, torch.from_numpy(array).movedim(2, 0).flip(2))


@pytest.mark.parametrize(
    'crop',
    [
        CentreCrop(32, crop_pct=1.0),
        ProbeCrop(32),
        FineTuneCrop(32, auto_augment=None),
        InRange([v2.RandomResizedCrop((32, 32), interpolation=v2.InterpolationMode.BICUBIC)]),
    ],
)
@pytest.mark.parametrize('dtype', ['uint8', 'float32'])
def test_resized_values_stay_in_range(crop, dtype):
    """Bicubic interpolation of edges overshoots."""
    array = np.zeros((12, 12, 4), dtype)
    array[3:9, 3:9] = 200
    array[..., 3] = array[..., 3] // 50 + 5
    torch.manual_seed(0)
    for _ in range(5):
        found = crop(array)
        assert found.shape == (4, 32, 32) and found.dtype == torch.from_numpy(array).dtype
        for channel in range(4):
            assert (
                array[..., channel].min() <= found[channel].min() <= found[channel].max() <= array[..., channel].max()
            )


@pytest.mark.parametrize('name, value', [('auto_augment', 'rand-m9-mstd0.5-inc1'), ('color_jitter', 0.4)])
def test_augmentation_of_colours_is_refused_for_bands(name, value):
    settings = dict(dict(auto_augment=None), **{name: value})
    with pytest.raises(UserError, match=f"^{name}={value!r} is for bands='RGB': set it to None"):
        FineTuneCrop(8, **settings)(values('uint8', 3))


# Other values in the middle of a set


def deep_photos(folder, count: int = 20, bad: int = 2):
    """8-bit photos, of which one that is not looked at in the beginning has 16 bits."""
    for i in range(count):
        by_opencv(folder / f'{i:02}.png', values('uint16' if i == bad else 'uint8', 3))
    return str(folder)


REASON = r"02.png \(?has 3 channels of uint16, but bands='RGB' reads 8-bit grey or colours: set bands=\(1,2,3\), "


def test_training_passes_over_it_with_the_reason(tmp_path):
    photos = Photos(deep_photos(tmp_path), 'train', 8, hold_out=0)
    (line,) = photos[2]['skipped']
    assert line.startswith(
        "02.png (has 3 channels of uint16, but bands='RGB' reads 8-bit grey or colours: set bands=(1,2,3)"
    )
    assert photos[3]['skipped'] == []


def test_an_evaluation_ends(tmp_path):
    (tmp_path / 'val' / 'a').mkdir(parents=True)
    deep_photos(tmp_path / 'val' / 'a')
    images = LabelledPhotos(str(tmp_path), 'val', img_size=8)
    with pytest.raises(UserError, match=rf'^{tmp_path}/val/a/' + REASON):
        images[2]


@pytest.mark.parametrize('bad', [0, 19])
def test_a_run_ends_before_it_begins_where_one_that_is_looked_at_differs(bad, tmp_path):
    with pytest.raises(UserError, match=rf"^{tmp_path}/{bad:02}.png has 3 channels of uint16, but bands='RGB'"):
        Photos(deep_photos(tmp_path, bad=bad), 'train', 8, hold_out=0)
    (tmp_path / 'train' / 'a').mkdir(parents=True)
    deep_photos(tmp_path / 'train' / 'a', bad=bad)
    with pytest.raises(UserError, match=rf"/{bad:02}.png has 3 channels of uint16, but bands='RGB'"):
        LabelledPhotos(str(tmp_path), 'train')


@pytest.mark.parametrize('dtype', ['uint16', 'float32'])
def test_deep_grey_photos_are_no_white_or_black_crops(dtype, tmp_path):
    """366..65482 became 255 everywhere, and 0..1 became 0."""
    array = values('uint16', 1) / np.float32(65535) if dtype == 'float32' else values('uint16', 1)
    for i in range(2):
        tiff(tmp_path / f'{i}.tif', array.astype(dtype))
    with pytest.raises(UserError, match=f'0.tif has 1 channel of {dtype}, but bands='):
        Photos(str(tmp_path), 'train', 8, hold_out=0)
    crop = Photos(str(tmp_path), 'train', 8, hold_out=0, bands=(1,))[0]['inputs']
    assert crop.dtype == torch.float32 and array.min() <= crop.min() < crop.max() <= array.max()
