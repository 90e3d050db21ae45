"""The tokens of a frozen tokenizer as what the decoder predicts."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from mmengine.logging import print_log
from torch import Tensor, nn

from ..errors import UserError
from ..registry import MODELS
from ..vit.patches import take_patches


@MODELS.register_module()
class TokenTarget(nn.Module):
    """A token for each patch, by a tokenizer that stays as it is; loss: cross-entropy over the vocabulary (BEiT; MAE
    Table 1d).

    The tokenizer sees the whole image, resized so that one of its tokens stands for one patch: 224 pixels with patches
    of 16 become 112 for a stride of 8, as in BEiT (which resizes the crop of the photo by Lanczos; here it is the
    normalised crop, bicubic with antialiasing). It runs in float32 and in evaluation mode, gets no gradient, and is
    part of the model's state: a checkpoint of the MAE has it, and its own file is needed only when a training begins.

    Args:
        tokenizer: config of the tokenizer, e.g. ``dict(type='DVAE', vocab_size=512,
            checkpoint='work_dirs/tokenizer_dvae')``. ``checkpoint``: file or work_dir of its weights; without it the
            target can only be loaded with a whole model.
        mean, std: per channel, on the scale 0..255, that the images were normalised with; default as
            :class:`~mae_transfer.pretrain.PhotoPreprocessor`.

    Raises:
        UserError: as many means as the images have no channels.
    """

    def __init__(
        self,
        tokenizer: dict,
        mean: tuple[float, ...] = (123.675, 116.28, 103.53),
        std: tuple[float, ...] = (58.395, 57.12, 57.375),
    ):
        super().__init__()
        tokenizer = dict(tokenizer)
        self.checkpoint = tokenizer.pop('checkpoint', None)
        self.tokenizer = MODELS.build(tokenizer).requires_grad_(False).eval()
        self.ready = (
            False  # becomes true where weights come from a file: random tokens would be nonsense that no one notices
        )
        if not len(mean) == len(std) == self.tokenizer.channels:
            raise UserError(
                f'TokenTarget has {len(mean)} means and {len(std)} deviations for a tokenizer of '
                f'{self.tokenizer.channels} '
                'channels: give one of each for every channel'
            )
        self.register_buffer('mean', torch.tensor(mean).view(-1, 1, 1) / 255, persistent=False)
        self.register_buffer('std', torch.tensor(std).view(-1, 1, 1) / 255, persistent=False)

    @property
    def invertible(self) -> bool:
        """Whether :meth:`to_pixels` can make pixels of tokens."""
        return self.tokenizer.invertible

    def init_weights(self) -> None:
        """Load the tokenizer's own file; MMEngine's runner calls it before a training begins."""
        if self.checkpoint:
            self.load_tokenizer(self.checkpoint)

    def load_tokenizer(self, checkpoint: str | Path) -> None:
        """Load the tokenizer from a file or a work_dir; raises as ``Tokenizer.load``."""
        path = self.tokenizer.load(checkpoint)
        self.ready = True
        print_log(
            f'tokenizer {type(self.tokenizer).__name__} with {self.tokenizer.vocab_size} tokens loaded from {path}',
            logger='current',
        )

    def train(self, mode: bool = True) -> TokenTarget:
        """As a module's; the tokenizer stays in evaluation mode."""
        super().train(mode)
        self.tokenizer.eval()
        return self

    def dim(self, patch_size: int, channels: int) -> int:
        """Size V of the vocabulary.

        Raises:
            UserError: images of other channels than the tokenizer's.
        """
        if channels != self.tokenizer.channels:
            raise UserError(
                f'the tokenizer takes images of {self.tokenizer.channels} channels; the ViT has in_channels={channels}'
            )
        return self.tokenizer.vocab_size

    @torch.no_grad()
    def forward(self, images: Tensor, patch_size: int, index: Tensor | None = None) -> Tensor:
        """What is to be predicted.

        Args:
            images: (B, C, H, W), normalised.
            index: (B, M) patch numbers; None for all.

        Returns:
            (B, M) int64.

        Raises:
            UserError: the tokenizer's weights were never loaded.
        """
        if not self.ready:
            raise UserError(
                'the tokenizer has random weights: give model.target.tokenizer.checkpoint a file or work_dir; '
                f'{self.tokenizer.advice}'
            )
        with torch.autocast(images.device.type, enabled=False):
            images = (images.float() * self.std + self.mean).clamp(0, 1)
            scale = self.tokenizer.stride / patch_size
            size = [round(side * scale) for side in images.shape[2:]]
            tokens = self.tokenizer.tokens(_resize(images, size)).flatten(1)
        return tokens if index is None else tokens.gather(1, index)

    def loss(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Logits (B, M, V) and tokens (B, M) to the losses (B,) of the images in nats, in float32 whatever the autocast
        type."""
        return F.cross_entropy(prediction.float().transpose(1, 2), target, reduction='none').mean(dim=1)

    @torch.no_grad()
    def to_pixels(self, prediction: Tensor, images: Tensor, patch_size: int, index: Tensor | None = None) -> Tensor:
        """Decode the most probable tokens of the whole grid.

        Args:
            prediction: (B, M, V) logits.
            images: (B, C, H, W), normalised; where not all patches are predicted, the others have their true tokens.
            index: (B, M) patch numbers; None for all.

        Returns:
            (B, M, C, p, p) patches of pixels in the input's normalisation.

        Raises:
            UserError: the tokenizer is an encoder alone.
        """
        tokens = prediction.argmax(dim=-1)
        if index is not None:
            tokens = self(images, patch_size).scatter(1, index, tokens)
        height, width = images.shape[2:]
        with torch.autocast(images.device.type, enabled=False):
            decoded = self.tokenizer.decode(tokens.view(len(tokens), height // patch_size, width // patch_size))
            decoded = (_resize(decoded, [height, width]).clamp(0, 1) - self.mean) / self.std
        return take_patches(decoded, patch_size, index)

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args, **kwargs) -> None:
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)
        self.ready = self.ready or all(
            f'{prefix}tokenizer.{name}' in state_dict for name in self.tokenizer.state_dict()
        )


def _resize(images: Tensor, size: list[int]) -> Tensor:
    if list(images.shape[2:]) == size:
        return images
    return F.interpolate(images, size=size, mode='bicubic', align_corners=False, antialias=True)
