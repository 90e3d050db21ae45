"""Normalise images of any number of channels: the base of the preprocessors of detectors and segmentors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.model import ImgDataPreprocessor

from ..data.files.bands import channel_values
from ..errors import UserError


class BandsPreprocessor(ImgDataPreprocessor):
    """MMEngine's ``ImgDataPreprocessor`` for images of any number of channels, of which it allows one and three.

    Args:
        mean, std: one value for each channel, on the scale of the files.
        **kwargs: passed to the next class.

    Raises:
        UserError: values that are no finite numbers, a deviation that is not above 0, or other numbers of both.
    """

    def __init__(self, mean: float | Sequence[float], std: float | Sequence[float], **kwargs: Any) -> None:
        mean, std = channel_values('mean', mean), channel_values('std', std)
        if len(mean) != len(std):
            raise UserError(f'mean has {len(mean)} values and std {len(std)}: give both one for each channel')
        super().__init__(mean=None, std=None, **kwargs)
        self.register_buffer('mean', torch.tensor(mean, dtype=torch.float32).view(-1, 1, 1), False)
        self.register_buffer('std', torch.tensor(std, dtype=torch.float32).view(-1, 1, 1), False)
        self._enable_normalize = True

    def forward(self, data: dict, training: bool = False) -> dict | list:
        """Normalise and stack a batch as the base class does.

        Raises:
            UserError: images that do not have as many channels as ``mean`` has values.
        """
        channels = {image.shape[0] for image in data['inputs']} - {len(self.mean)}
        if channels:
            raise UserError(
                f'mean and std have {len(self.mean)} values for images of {channels.pop()} channels: set bands, mean '
                'and std of the config, which its parts follow'
            )
        return super().forward(data, training)
