"""Chosen bands through the transforms of detection and segmentation."""

import numpy as np
import pytest
from mmcv.transforms import Compose
from mmengine.registry import DefaultScope

from mae_transfer.data.files.load_bands import LoadBands
from mae_transfer.errors import UserError
from mae_transfer.registry import TRANSFORMS
from tests.data.written import npy, pillow, tiff, values


def load(path, bands, *transforms, scope='mmseg') -> np.ndarray:
    with DefaultScope.overwrite_default_scope(scope):
        pipeline = Compose([dict(type='mae_transfer.LoadBands', bands=bands), *transforms])
        return pipeline(dict(img_path=str(path), seg_fields=[]))['img']


@pytest.mark.parametrize('dtype', ['uint8', 'uint16', 'float32'])
@pytest.mark.parametrize('bands', [(1,), (4, 2, 1, 3), tuple(range(1, 14))])
def test_bands_keep_their_values(bands, dtype, tmp_path):
    array = values(dtype, 13)
    found = load(tiff(tmp_path / 'a.tif', array), bands)
    assert found.dtype == (np.uint8 if dtype == 'uint8' else np.float32)
    assert np.array_equal(found, array[..., np.array(bands) - 1])


@pytest.mark.parametrize('bands, channels', [('L', 1), ('RGB', 3)])
def test_pictures(bands, channels, tmp_path):
    array = values('uint8', 3)
    found = load(pillow(tmp_path / 'a.png', array, 'RGB'), bands)
    assert found.shape == (19, 18, channels) and (bands == 'L' or np.array_equal(found, array))


@pytest.mark.parametrize('scope', ['mmdet', 'mmseg'])
def test_transforms_keep_channels_and_range(scope, tmp_path):
    """Resizing interpolates linearly, so it leaves no value outside; crops and flips are exact."""
    array = values('float32', 13, (40, 50))
    path = npy(tmp_path / 'a.npy', array)
    resized = load(path, range(1, 14), dict(type='Resize', scale=(100, 80)), scope=scope)
    assert resized.shape == (80, 100, 13) and resized.dtype == np.float32
    assert (resized.min((0, 1)) >= array.min((0, 1))).all() and (resized.max((0, 1)) <= array.max((0, 1))).all()
    same = load(path, range(1, 14), dict(type='Resize', scale=(50, 40)), scope=scope)
    assert np.array_equal(same, array)
    flipped = load(path, range(1, 14), dict(type='RandomFlip', prob=1.0), scope=scope)
    assert np.array_equal(flipped, array[:, ::-1])
    cropped = load(path, range(1, 14), dict(type='RandomCrop', crop_size=(20, 20)), scope=scope)
    places = [
        (top, left)
        for top in range(21)
        for left in range(31)
        if np.array_equal(array[top : top + 20, left : left + 20], cropped)
    ]
    assert len(places) == 1


def test_packed_inputs_of_one_channel_have_three_axes(tmp_path):
    """OpenCV drops an axis of one element; packing puts it back."""
    path = npy(tmp_path / 'a.npy', values('uint16', 4, (40, 50)))
    for scope, pack in (('mmseg', 'PackSegInputs'), ('mmdet', 'PackDetInputs')):
        with DefaultScope.overwrite_default_scope(scope):
            pipeline = Compose(
                [
                    dict(type='mae_transfer.LoadBands', bands=(2,)),
                    dict(type='Resize', scale=(100, 80), keep_ratio=True),
                    dict(type=pack, meta_keys=('img_path', 'ori_shape')),
                ]
            )
            packed = pipeline(dict(img_path=str(path), seg_fields=[], img_id=1))
        assert packed['inputs'].shape == (1, 80, 100) and packed['data_samples'].ori_shape == (40, 50)


def test_other_values_name_the_file(tmp_path):
    path = npy(tmp_path / 'a.npy', values('uint16', 4))
    with pytest.raises(UserError, match=rf'^{path} has 4 channels of uint16, but bands=\(5,\) names band 5'):
        load(path, (5,))


def test_unchanged_changes_nothing():
    results = dict(img=1)
    assert TRANSFORMS.build(dict(type='Unchanged')).transform(results) is results and results == dict(img=1)
    assert repr(LoadBands((2, 1))) == 'LoadBands(bands=(2, 1), exif_orientation=True)'
