"""Normalise images on the device."""

from __future__ import annotations

import torch
from mmengine.model import BaseDataPreprocessor

from ..errors import UserError
from ..registry import MODELS


@MODELS.register_module()
class PhotoPreprocessor(BaseDataPreprocessor):
    """uint8 RGB images to the device, normalised there: a quarter of the traffic of float images.

    Args:
        mean, std: per channel, on the scale 0..255; one value for each channel. Default: ImageNet's, as MAE.
    """

    def __init__(
        self, mean: tuple[float, ...] = (123.675, 116.28, 103.53), std: tuple[float, ...] = (58.395, 57.12, 57.375)
    ):
        super().__init__(non_blocking=True)
        self.register_buffer('mean', torch.tensor(mean).view(-1, 1, 1), persistent=False)
        self.register_buffer('std', torch.tensor(std).view(-1, 1, 1), persistent=False)

    def forward(self, data: dict, training: bool = False) -> dict:
        """A batch of :func:`~mae_transfer.data.photos.collate_photos` to the arguments of ``MAE.forward``."""
        data = self.cast_data({key: data[key] for key in ('inputs', 'seeds') if key in data})
        if data['inputs'].shape[1] != len(self.mean):
            raise UserError(
                f'images of {data["inputs"].shape[1]} channels meet {len(self.mean)} means: set data_preprocessor.mean '
                'and std to '
                'one value for each channel'
            )
        data['inputs'] = (data['inputs'].float() - self.mean) / self.std
        return data

    def to_uint8(self, images: torch.Tensor) -> torch.Tensor:
        """Normalised images back to uint8, for pictures."""
        return (images * self.std + self.mean).round().clamp(0, 255).to(torch.uint8)
