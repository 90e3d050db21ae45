"""A small segmentor for tests, and images for it."""

from __future__ import annotations

import torch
from mmengine.config import ConfigDict
from mmengine.registry import MODELS, DefaultScope
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch import Tensor

DIM = 32


def segmentor(test_cfg: dict | None = None, classes: int = 5, **vit) -> torch.nn.Module:
    """A random segmentor in eval mode: a ViT of four blocks, a pyramid and UperNet.

    The ViT has a class token and relative positions that are not zero.
    """
    torch.manual_seed(0)
    head = dict(num_classes=classes, norm_cfg=dict(type='BN'), align_corners=False, channels=16)
    with DefaultScope.overwrite_default_scope('mmseg'):
        model = MODELS.build(
            dict(
                type='mae_transfer.AnySizeSegmentor',
                data_preprocessor=dict(type='SegDataPreProcessor', mean=[128.0] * 3, std=[64.0] * 3, size=(64, 64)),
                backbone=dict(
                    type='mae_transfer.ViT',
                    arch=dict(embed_dim=DIM, depth=4, num_heads=2),
                    img_size=64,
                    patch_size=16,
                    out_indices=(0, 1, 2, 3),
                    class_token=True,
                    rel_pos='table',
                    final_norm=False,
                    **vit,
                ),
                neck=dict(type='mae_transfer.ViTFPN', embed_dim=DIM, out_channels=None, scale_norm_cfg=dict(type='BN')),
                decode_head=dict(type='UPerHead', in_channels=[DIM] * 4, in_index=[0, 1, 2, 3], **head),
                auxiliary_head=dict(
                    type='FCNHead', in_channels=DIM, in_index=2, num_convs=1, concat_input=False, **head
                ),
                test_cfg=ConfigDict(test_cfg or dict(mode='whole')),
            )
        )
    for name, parameter in model.named_parameters():
        if 'relative_position' in name or name.endswith('conv_seg.weight'):
            torch.nn.init.normal_(parameter, std=0.5)
    return model.eval()


def photo(height: int, width: int, seed: int = 0) -> Tensor:
    """An image (3, height, width), uint8; smooth, so that it looks similar at all scales."""
    noise = torch.rand(1, 3, 3, 4, generator=torch.Generator().manual_seed(seed))
    image = torch.nn.functional.interpolate(noise, (height, width), mode='bicubic')[0]
    return (image.clamp(0, 1) * 255).to(torch.uint8)


def batch(*images: Tensor, ori_shape: tuple[int, int] | None = None, flip: bool = False) -> dict:
    """The batch of the data loader for these images; predictions are resized to ``ori_shape``."""
    samples = []
    for image in images:
        size = tuple(image.shape[1:])
        sample = SegDataSample(
            metainfo=dict(
                ori_shape=ori_shape or size, img_shape=size, flip=flip, flip_direction='horizontal' if flip else None
            )
        )
        sample.gt_sem_seg = PixelData(data=torch.zeros(1, *(ori_shape or size), dtype=torch.long))
        samples.append(sample)
    return dict(inputs=list(images), data_samples=samples)
