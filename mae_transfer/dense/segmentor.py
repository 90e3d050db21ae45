"""MMSegmentation's encoder-decoder, for images of any size and losses in float32."""

from __future__ import annotations

import torch.nn.functional as F
from mmseg.models import EncoderDecoder
from torch import Tensor, nn

from ..registry import MODELS


@MODELS.register_module()
class AnySizeSegmentor(EncoderDecoder):
    """As MMSegmentation's ``EncoderDecoder``; two things differ.

    What the ViT sees at test, a window or a whole image, is padded at the bottom and the right to a multiple of
    ``stride``, and its prediction cut to size again. An image whose sides the stride does not divide would otherwise be
    stretched on its way back from the maps; padded as a whole, by the preprocessor, it would show the padding to every
    window at its border.

    Logits leave the heads in float32, so that under autocast too they are resized to the labels, and judged by the
    loss, in that precision.

    Args:
        stride: of the coarsest map, in pixels. With patches of 16 and a pyramid of four levels: 32.
        **kwargs: as MMSegmentation's.
    """

    def __init__(self, stride: int = 32, **kwargs):
        super().__init__(**kwargs)
        self.stride = stride
        auxiliary = self.auxiliary_head if self.with_auxiliary_head else ()
        for head in (self.decode_head, *(auxiliary if isinstance(auxiliary, (nn.ModuleList, tuple)) else (auxiliary,))):
            head.conv_seg.register_forward_hook(_in_float32)

    def encode_decode(self, inputs: Tensor, batch_img_metas: list[dict]) -> Tensor:
        """Logits of a window or an image: (B, C, H, W), any H and W, to (B, classes, H, W)."""
        height, width = inputs.shape[2:]
        padded = F.pad(inputs, (0, -width % self.stride, 0, -height % self.stride))
        # A torch.Size is what the heads resize their logits to.
        metas = [dict(meta, img_shape=padded.shape[2:]) for meta in batch_img_metas]
        return super().encode_decode(padded, metas)[..., :height, :width]


def _in_float32(module: nn.Module, args: tuple, logits: Tensor) -> Tensor:
    return logits.float()
