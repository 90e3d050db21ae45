"""Images of data sets of photos as pictures, and their names."""

from types import SimpleNamespace

import numpy as np
import torch

from mae_transfer.data.photos.unlabelled import Photos
from mae_transfer.data.photos.wrappers import ConcatDataset, RepeatDataset
from mae_transfer.reporting.held_images import name_of, picture_of
from tests.helpers import photo_folder


def test_colours_and_greys_are_shown_as_they_are():
    image = torch.randint(256, (3, 5, 7), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    assert np.array_equal(picture_of(image, object()), image.permute(1, 2, 0).numpy())
    grey = picture_of(image[:1], object())
    assert grey.shape == (5, 7, 3) and np.array_equal(grey[..., 2], image[0].numpy())


def test_bands_are_stretched():
    image = torch.arange(5 * 40 * 40, dtype=torch.float32).view(5, 40, 40)
    picture = picture_of(image, SimpleNamespace(reader=SimpleNamespace(bands=(1, 2, 3, 5, 8))))
    assert picture.shape == (40, 40, 3) and picture.min() == 0 and picture.max() == 255


def test_names_within_wrappers(tmp_path):
    one, other = (
        Photos(str(photo_folder(tmp_path / name, count)), 'val', img_size=16, hold_out=1.0)
        for name, count in (('a', 2), ('b', 3))
    )
    dataset = RepeatDataset(ConcatDataset([one, other]), 2)
    names = [name_of(dataset, index) for index in range(10)]
    assert names == [*one.names, *other.names] * 2
    assert name_of([0], 7) == 'image 7'
