"""Normalise images on the device."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmengine.model import BaseDataPreprocessor
from torch import Tensor

from ..data.files.bands import RGB_MEAN, RGB_STD, channel_values
from ..errors import UserError
from ..registry import MODELS


@MODELS.register_module()
class PhotoPreprocessor(BaseDataPreprocessor):
    """Move images to the device and normalise them there; 8-bit images would be four times the bytes as floats.

    Mean and standard deviation are stored only here; code that needs colours calls :meth:`to_unit`, :meth:`from_unit`
    or :meth:`to_uint8`, and code that needs the values of the files :meth:`to_values`.

    Args:
        mean, std: one value for each channel, on the scale of the files. Default: those of ImageNet, as in MAE.

    Raises:
        UserError: values that are no finite numbers, or a deviation that is not above 0.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: float | Sequence[float] = RGB_MEAN, std: float | Sequence[float] = RGB_STD):
        super().__init__(non_blocking=True)
        self.register_buffer('mean', torch.tensor(channel_values('mean', mean)).view(-1, 1, 1), persistent=False)
        self.register_buffer('std', torch.tensor(channel_values('std', std)).view(-1, 1, 1), persistent=False)

    def forward(self, data: dict, training: bool = False) -> dict:
        """Turn a batch of :func:`~mae_transfer.data.photos.unlabelled.collate_photos`, of images (B, C, H, W) or of
        views (B, V, C, H, W), into the arguments of the model's ``forward``. Pictures for a tokenizer,
        ``token_images``, become colours in [0, 1].

        Raises:
            UserError: the images do not have as many channels as ``mean`` has values.
        """
        data = self.cast_data({key: data[key] for key in ('inputs', 'seeds', 'token_images') if key in data})
        if (channels := data['inputs'].shape[-3]) != len(self.mean):
            raise UserError(
                f'data_preprocessor.mean has {len(self.mean)} values for images of {channels} channels: '
                'set data_preprocessor.mean and data_preprocessor.std to one value for each channel'
            )
        data['inputs'] = (data['inputs'].float() - self.mean) / self.std
        if 'token_images' in data:
            data['token_images'] = data['token_images'].float() / 255
        return data

    def to_values(self, images: Tensor) -> Tensor:
        """Normalised images (..., C, H, W) to the values of the files.

        The rounding is that of float32: about 1e-7 of the largest of a value, its distance to the mean and the mean.
        """
        return images * self.std + self.mean

    def to_unit(self, images: Tensor) -> Tensor:
        """Normalised images (..., C, H, W) to colours in [0, 1]; values outside are clamped."""
        return (self.to_values(images) / 255).clamp(0, 1)

    def from_unit(self, images: Tensor) -> Tensor:
        """Colours (..., C, H, W) in [0, 1] to normalised images: the inverse of :meth:`to_unit`."""
        return (images * 255 - self.mean) / self.std

    def to_uint8(self, images: Tensor) -> Tensor:
        """Normalised images (..., C, H, W) to uint8, for pictures."""
        return (self.to_unit(images) * 255).round().to(torch.uint8)
