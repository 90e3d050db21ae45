"""MMSegmentation's encoder-decoder for images of any size and with losses in float32."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch.nn.functional as F
from mmseg.models import EncoderDecoder
from torch import Tensor, nn

from ..registry import MODELS


@MODELS.register_module()
class AnySizeSegmentor(EncoderDecoder):
    """MMSegmentation's ``EncoderDecoder`` with three differences.

    In inference, the input of the ViT (a window or a whole image) is padded at the bottom and the right to a multiple
    of ``stride``, and the prediction is cropped again. Without padding, the prediction of an image whose sides are not
    multiples of the stride would be stretched. If the preprocessor padded the whole image instead, every window at its
    border would contain padding.

    The heads return logits in float32, so that they are resized, and the loss is computed, in this precision under
    autocast as well.

    The logits of a sliding window are added where the window is, not as a map of the whole image with zeros around it:
    the same values, without filling and adding all classes of all pixels once for each window.

    Args:
        stride: of the coarsest map, in pixels. With patches of 16 and a pyramid of four levels: 32.
        **kwargs: as in MMSegmentation.
    """

    def __init__(self, stride: int = 32, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.stride = stride
        auxiliary = self.auxiliary_head if self.with_auxiliary_head else []
        auxiliary = auxiliary if isinstance(auxiliary, (nn.ModuleList, list)) else [auxiliary]
        for head in (self.decode_head, *auxiliary):
            head.conv_seg.register_forward_hook(_in_float32)

    def encode_decode(self, inputs: Tensor, batch_img_metas: list[dict]) -> Tensor:
        """Compute the logits (B, classes, H, W) of windows or images (B, C, H, W), for any H and W."""
        height, width = inputs.shape[2:]
        padded = F.pad(inputs, (0, -width % self.stride, 0, -height % self.stride))
        # The heads resize their logits to img_shape, which must be a torch.Size.
        metas = [dict(meta, img_shape=padded.shape[2:]) for meta in batch_img_metas]
        return super().encode_decode(padded, metas)[..., :height, :width]

    def slide_inference(self, inputs: Tensor, batch_img_metas: list[dict]) -> Tensor:
        """Average the logits (B, classes, H, W) of windows that slide over images (B, C, H, W), where they overlap."""
        height, width = inputs.shape[2:]
        logits = inputs.new_zeros(len(inputs), self.out_channels, height, width)
        windows = inputs.new_zeros(height, width)
        crop, stride = self.test_cfg.crop_size, self.test_cfg.stride
        for rows in _windows(height, crop[0], stride[0]):
            for columns in _windows(width, crop[1], stride[1]):
                logits[:, :, rows, columns] += self.encode_decode(inputs[:, :, rows, columns], batch_img_metas)
                windows[rows, columns] += 1
        return logits.div_(windows)


def _windows(side: int, crop: int, stride: int) -> Iterator[slice]:
    """Windows of ``crop`` pixels, every ``stride``; the last one ends with the image, and so may begin earlier."""
    for number in range(max(side - crop + stride - 1, 0) // stride + 1):
        end = min(number * stride + crop, side)
        yield slice(max(end - crop, 0), end)


def _in_float32(module: nn.Module, args: tuple, logits: Tensor) -> Tensor:
    return logits.float()
