"""A perfect prediction of each odd but legitimate data set evaluates to mIoU 100."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
import torch
from mmengine.structures import PixelData
from PIL import Image

from mae_transfer.data.label_maps.labelled_scenes import LabelledScenes
from mae_transfer.errors import UserError
from mae_transfer.evaluation.mean_iou import MeanIoU
from tests.data.label_maps.label_forms import FORMS

#: The truth: the class of each pixel, None where there is none. The last class has a single pixel.
TRUTH = [np.array([[0, 0, 1], [1, 255, 0]]), np.array([[1, 0, 0, 0]]), np.array([[2], [0], [255], [1]])]
CLASSES = ('road', 'field', 'pole')
READER = dict(type='mmcv.LoadImageFromFile')


def perfect(root, truth=TRUTH, classes=CLASSES, reader=READER, **settings):
    """The metrics of predictions that equal the truth, wherever there is one."""
    dataset = LabelledScenes(
        data_root=str(root),
        metainfo=dict(classes=classes),
        data_prefix=dict(img_path='images', seg_map_path='labels'),
        pipeline=[
            reader,
            dict(type='mmcv.Resize', scale=(8, 8), keep_ratio=False),
            dict(type='mae_transfer.LoadLabels'),
            dict(type='mmseg.PackSegInputs'),
        ],
        serialize_data=False,
        **settings,
    )
    metric = MeanIoU()
    metric.dataset_meta = dataset.metainfo
    for i, labels in enumerate(truth):
        found = dataset[i]['data_samples']
        predicted = torch.tensor(np.where(labels == 255, 0, labels))[None]
        found.pred_sem_seg = PixelData(data=predicted)
        metric.process({}, [found.to_dict()])
    assert len(dataset) == len(truth)
    return metric.evaluate(len(truth))


def write(root, numbers_of, write_labels=None, label_names='{}.png', image_names='{}.png', truth=TRUTH):
    """Write images and label maps, whose numbers follow from the classes by ``numbers_of``."""
    for folder in ('images', 'labels'):
        (root / folder).mkdir(exist_ok=True)
    for i, labels in enumerate(truth):
        name = image_names[i] if isinstance(image_names, list) else image_names
        Image.new('RGB', labels.shape[::-1], (50, 90, 130)).save(root / 'images' / name.format(i))
        numbers = np.vectorize(numbers_of)(labels)
        name = label_names[i] if isinstance(label_names, list) else label_names
        path = root / 'labels' / name.format(i)
        if write_labels is None:
            Image.fromarray(numbers.astype(np.uint8 if numbers.max() < 256 else np.uint16)).save(path)
        else:
            write_labels(numbers.astype(np.uint8), path)


ALL_RIGHT = dict(aAcc=100, mIoU=100, mAcc=100)


@pytest.mark.parametrize('form', FORMS)
def test_every_form(form, tmp_path):
    suffix, write_labels = FORMS[form]
    write(tmp_path, lambda label: (label + 1) % 256, write_labels, f'{{}}{suffix}')
    assert perfect(tmp_path) == ALL_RIGHT


@pytest.mark.parametrize(
    'numbers_of, settings',
    [
        (lambda label: label, dict(reduce_zero_label=False)),
        (lambda label: 0 if label == 255 else label + 1, dict()),
        (lambda label: {0: 0, 1: 128, 2: 255, 255: 7}[label], dict(label_values=(0, 128, 255))),
        (lambda label: {0: 255, 1: 0, 2: 60000, 255: 1}[label], dict(label_values=(255, 0, 60000))),
    ],
)
def test_every_numbering(numbers_of, settings, tmp_path):
    write(tmp_path, numbers_of)
    assert perfect(tmp_path, **settings) == ALL_RIGHT


def test_masks_of_0_and_255(tmp_path):
    """As most tools draw a single class; the setting is what the error of the default advises."""
    truth = [np.array([[0, 1, 0]]), np.array([[0, 0]])]
    write(tmp_path, lambda label: 255 * label, truth=truth)
    assert perfect(tmp_path, truth, ('background', 'crack'), label_values=(0, 255)) == ALL_RIGHT


def test_mixed_suffixes_and_endings(tmp_path):
    write(
        tmp_path, lambda label: (label + 1) % 256, None, ['0_m.png', '1_m.TIF', '2_m.bmp'], ['0.JPG', '1.png', '2.tif']
    )
    for path in (tmp_path / 'labels').iterdir():
        path.rename(path.with_name(path.name.replace('_m', '')))
    assert perfect(tmp_path) == ALL_RIGHT


def test_an_ending_of_the_label_maps(tmp_path):
    write(tmp_path, lambda label: (label + 1) % 256, None, '{}_mask.png')
    assert perfect(tmp_path, seg_map_suffix='_mask.png') == ALL_RIGHT


@pytest.mark.parametrize('orientation', [3, 6, 8])
@pytest.mark.parametrize('turns', [True, False])
def test_images_with_an_exif_orientation(orientation, turns, tmp_path):
    write(tmp_path, lambda label: (label + 1) % 256, image_names='{}.jpg')
    exif = Image.Exif()
    exif[0x0112] = orientation
    for i, labels in enumerate(TRUTH):
        shown = labels.shape[::-1]
        stored = shown[::-1] if orientation != 3 and turns else shown
        Image.new('RGB', stored).save(tmp_path / f'images/{i}.jpg', exif=exif)
    reader = dict(type='mae_transfer.LoadBands', exif_orientation=turns)
    assert perfect(tmp_path, reader=reader) == ALL_RIGHT


def as_array(pixels, path):
    np.save(path.with_suffix('.npy'), pixels)


def as_tiff(pixels, path):
    tifffile.imwrite(path.with_suffix('.tif'), pixels, planarconfig='contig', photometric='minisblack')


@pytest.mark.parametrize('suffix, save', [('.npy', as_array), ('.tif', as_tiff)])
def test_images_of_many_bands(suffix, save, tmp_path):
    """Pillow cannot read their headers."""
    truth = [np.kron(labels, np.ones((8, 8), int)) for labels in TRUTH]
    write(tmp_path, lambda label: (label + 1) % 256, truth=truth)
    for i, labels in enumerate(truth):
        (tmp_path / f'images/{i}.png').unlink()
        save(np.full((*labels.shape, 7), 1000 + i, np.uint16), tmp_path / f'images/{i}')
    reader = dict(type='mae_transfer.LoadBands', bands=(7, 1))
    assert perfect(tmp_path, truth, reader=reader, img_suffix=suffix) == ALL_RIGHT
    Image.new('L', (9, 9), 1).save(tmp_path / 'labels/0.png')
    with pytest.raises(UserError, match='0.png is 9 x 9 pixels, but its image is 24 x 16: give both the same size'):
        perfect(tmp_path, truth, reader=reader, img_suffix=suffix)
