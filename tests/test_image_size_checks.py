"""What is no image size is refused before anything is built."""

from __future__ import annotations

import pytest
from mmengine.config import Config

from mae_transfer.errors import UserError
from mae_transfer.image_size_checks import check_image_sizes


def config(size, vit_size=32) -> Config:
    vit = dict(arch='32x2x2', patch_size=8, img_size=vit_size)
    return Config(dict(model=dict(vit=vit), train_dataloader=dict(dataset=dict(type='Photos', img_size=size))))


@pytest.mark.parametrize('size', [0, -32, 32.0, True, 'big', '32x32', (32,), (32, 32, 32), (0, 32), ('32', 32)])
def test_what_is_no_size(size):
    says = 'is a number of pixels, or .height, width., e.g. 224 or .224,448.; found'
    with pytest.raises(UserError, match=f'train_dataloader.dataset.img_size {says}'):
        check_image_sizes(config(size), 'train')
    with pytest.raises(UserError, match=f'model.vit.img_size {says}'):
        check_image_sizes(config(32, size), 'train')


@pytest.mark.parametrize('size', [32, (32, 64), [8, 8], None])
def test_sizes(size):
    check_image_sizes(config(size), 'train')
