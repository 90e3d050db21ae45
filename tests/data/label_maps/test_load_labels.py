"""The transform that reads label maps, and label maps that fit an image in one EXIF orientation alone."""

from __future__ import annotations

import numpy as np
import pytest
from mmengine.registry import TRANSFORMS
from PIL import Image

from mae_transfer.data.label_maps.label_numbers import Numbering
from mae_transfer.data.label_maps.labelled_scenes import LabelledScenes
from mae_transfer.data.label_maps.load_labels import LoadLabels, check_size
from mae_transfer.data.label_maps.reading import LabelMap
from mae_transfer.errors import UserError
from tests.data.sources import rotated

NUMBERING = Numbering(('road', 'field'))
LABELS = np.array([[1, 2, 0], [2, 2, 255]], np.uint8)


def load(path, numbering=NUMBERING, **results):
    return LoadLabels()(dict(seg_map_path=str(path), numbering=numbering, seg_fields=[], **results))


def test_labels_are_read(tmp_path):
    Image.fromarray(LABELS).save(tmp_path / 'a.png')
    results = load(tmp_path / 'a.png', ori_shape=(2, 3), img_path='a.jpg')
    assert results['gt_seg_map'].tolist() == [[0, 1, 255], [1, 1, 255]] and results['gt_seg_map'].dtype == np.uint8
    assert results['seg_fields'] == ['gt_seg_map']


def test_it_is_in_the_registry_and_needs_our_data_set(tmp_path):
    Image.fromarray(LABELS).save(tmp_path / 'a.png')
    transform = TRANSFORMS.build(dict(type='mae_transfer.LoadLabels'))
    with pytest.raises(UserError, match="the data set 'mae_transfer.LabelledScenes' gives; for other data sets"):
        transform(dict(seg_map_path=str(tmp_path / 'a.png'), seg_fields=[]))


def test_an_image_without_label_map_gets_none():
    assert LoadLabels()(dict(seg_fields=[])) == dict(seg_fields=[])


@pytest.mark.parametrize(
    'labels, says',
    [
        (LABELS + 1, 'contains the value 3'),
        (np.full((2, 3), 258, np.uint16), 'contains the value 258'),  # which is 2 in a byte
        (LABELS[:1], 'is 3 x 1 pixels, but its image is 3 x 2: give both the same size'),
        (None, 'a.png cannot be read: No such file'),
    ],
)
def test_mistakes_are_found_on_loading(labels, says, tmp_path):
    if labels is not None:
        Image.fromarray(labels).save(tmp_path / 'a.png')
    Image.new('RGB', (3, 2)).save(tmp_path / 'a.jpg')
    with pytest.raises(UserError, match=says):
        load(tmp_path / 'a.png', ori_shape=(2, 3), img_path=str(tmp_path / 'a.jpg'))


# --- EXIF -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    'orientation, read, says',
    [
        (
            6,
            (30, 20),
            'is 20 x 30 pixels, but its image is 30 x 20: that is its size as shown, and its EXIF orientation is 6: '
            'read images so, exif_orientation=True, or turn the label map',
        ),
        (
            8,
            (20, 30),
            'is 30 x 20 pixels, but its image is 20 x 30: that is its size as stored, and its EXIF orientation is 8: '
            'read images so, exif_orientation=False, or turn the label map',
        ),
        (3, (30, 20), 'is 20 x 30 pixels, but its image is 30 x 20: give both the same size'),
        (1, (30, 20), 'is 20 x 30 pixels, but its image is 30 x 20: give both the same size'),
    ],
)
def test_a_label_map_that_fits_the_other_orientation_is_refused_by_name(orientation, read, says, tmp_path):
    image = rotated(tmp_path / 'a.jpg', orientation)
    check_size('a.png', LabelMap(np.zeros(read[::-1])), image, read[::-1])
    with pytest.raises(UserError) as caught:
        check_size('a.png', LabelMap(np.zeros(read)), image, read[::-1])
    assert str(caught.value) == f'label map a.png {says}'


READERS = [
    *((dict(type='mmcv.LoadImageFromFile', color_type=kind), True) for kind in ('color', 'grayscale')),
    *(
        (dict(type='mmcv.LoadImageFromFile', color_type=kind), False)
        for kind in ('unchanged', 'color_ignore_orientation', 'grayscale_ignore_orientation')
    ),
    (dict(type='mmcv.LoadImageFromFile', imdecode_backend='pillow'), True),
    *(
        (dict(type='mae_transfer.LoadBands', bands=bands, exif_orientation=turns), turns)
        for turns in (True, False)
        for bands in ('RGB', (2,))
    ),
]


@pytest.mark.parametrize('reader, turns', READERS)
@pytest.mark.parametrize('fits', [True, False])
def test_the_pipeline_s_reader_decides_which_size_an_image_has(reader, turns, fits, tmp_path):
    rotated(tmp_path / 'images/a.jpg', 6)
    size = (20, 30) if turns == fits else (30, 20)
    (tmp_path / 'labels').mkdir()
    Image.new('L', size, 1).save(tmp_path / 'labels/a.png')

    def build():
        return LabelledScenes(
            data_root=str(tmp_path),
            metainfo=dict(classes=('road', 'field')),
            data_prefix=dict(img_path='images', seg_map_path='labels'),
            pipeline=[reader, dict(type='mae_transfer.LoadLabels')],
            serialize_data=False,
            test_mode=True,
        )

    if fits:
        item = build()[0]
        assert item['img'].shape[:2] == item['gt_seg_map'].shape == size[::-1]
    else:
        with pytest.raises(UserError, match=f'EXIF orientation is 6: read images so, exif_orientation={not turns}'):
            build()
