"""Random images with valid annotations, as the data pipelines of MMDetection and MMSegmentation hand them over."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.structures import InstanceData, PixelData
from mmseg.structures import SegDataSample
from torch import Tensor

#: Objects in an image: COCO has 7.3 on average. Share of pixels that are not labelled: about that of ADE20K.
OBJECTS, IGNORED = 7, 0.1


def random_image(channels: int, size: tuple[int, int], generator: torch.Generator) -> Tensor:
    """An image (channels, height, width), uint8."""
    return torch.randint(256, (channels, *size), generator=generator, dtype=torch.uint8)


def detection_batch(
    batch: int, channels: int, size: tuple[int, int], classes: int, seed: int, objects: int = OBJECTS
) -> dict[str, list]:
    """Images of ``size`` (height, width) with objects: ellipses in boxes of an eighth to five eighths of each side."""
    generator = torch.Generator().manual_seed(seed)
    inputs, samples = [], []
    for _ in range(batch):
        inputs.append(random_image(channels, size, generator))
        whole = torch.tensor([size[1], size[0]])
        sides = whole * (1 / 8 + torch.rand(objects, 2, generator=generator) / 2)
        corners = torch.rand(objects, 2, generator=generator) * (whole - sides)
        boxes = torch.cat([corners, corners + sides], dim=1)
        sample = DetDataSample(metainfo=dict(img_shape=size, ori_shape=size, scale_factor=(1.0, 1.0)))
        sample.gt_instances = InstanceData(
            bboxes=boxes,
            labels=torch.randint(classes, (objects,), generator=generator),
            masks=BitmapMasks(_ellipses(boxes.numpy(), size), *size),
        )
        samples.append(sample)
    return dict(inputs=inputs, data_samples=samples)


def segmentation_batch(batch: int, channels: int, size: tuple[int, int], classes: int, seed: int) -> dict[str, list]:
    """Images of ``size`` (height, width) with label maps: 16 x 16 areas of random classes, some pixels ignored."""
    generator = torch.Generator().manual_seed(seed)
    inputs, samples = [], []
    for _ in range(batch):
        inputs.append(random_image(channels, size, generator))
        squares = torch.randint(classes, (1, 1, 16, 16), generator=generator)
        labels = F.interpolate(squares.float(), size, mode='nearest')[0].long()
        labels[torch.rand(labels.shape, generator=generator) < IGNORED] = 255
        sample = SegDataSample(metainfo=dict(img_shape=size, ori_shape=size))
        sample.gt_sem_seg = PixelData(data=labels)
        samples.append(sample)
    return dict(inputs=inputs, data_samples=samples)


def _ellipses(boxes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Masks (N, height, width) of the ellipses that fill boxes (N, 4)."""
    centres, radii = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) / 2
    down, across = ((np.arange(size[i]) + 0.5 - centres[:, 1 - i, None]) / radii[:, 1 - i, None] for i in (0, 1))
    return (across[:, None, :] ** 2 + down[:, :, None] ** 2 <= 1).astype(np.uint8)
