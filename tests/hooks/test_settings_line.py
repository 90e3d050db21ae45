"""One line of the settings that matter."""

from __future__ import annotations

import pytest
import torch

from mae_transfer.hooks.settings_line import settings_line, vit_name
from mae_transfer.runner import StrictRunner
from mae_transfer.vit import ViT
from tests.helpers import photo_folder, pretraining


@pytest.mark.parametrize(
    'arch, patch_size, name',
    [
        ('large', None, 'ViT-L/16'),
        ('huge', None, 'ViT-H/14'),
        ('tiny', 8, 'ViT-T/8'),
        ('192x5x3', None, 'ViT 192x5x3/16'),
    ],
)
def test_the_name_of_a_vit(arch, patch_size, name):
    with torch.device('meta'):
        assert vit_name(ViT(arch, patch_size=patch_size, init_cfg=None)).replace('\xa0', ' ') == name


def test_a_run_tells_data_model_batch_length_precision_and_device(tmp_path):
    photos = photo_folder(tmp_path / 'photos')
    cfg = pretraining(photos, tmp_path, data_root=[str(photos), 'more'], image_size=(16, 8), total_batch_size=4)
    runner = StrictRunner.from_cfg(cfg)
    runner.train()
    count = sum(parameter.numel() for parameter in runner.model.parameters())
    threads = torch.get_num_threads()
    device = (
        torch.cuda.get_device_name() if torch.cuda.is_available() else f'CPU, {threads} thread{"s" * (threads > 1)}'
    )
    assert settings_line(runner, 'train').replace('\xa0', ' ') == (
        f'training on 4 images in {photos} and 1 more; image size 16 x 8; ViT 16x1x2/4, {count:,} parameters; '
        f'batch 4 = 2 images x 1 process x 2 accumulated; 3 epochs = 3 steps; float32; {device}'
    )
