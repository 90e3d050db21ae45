"""The tokens of a frozen tokenizer as prediction target."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.logging import print_log
from mmengine.model import BaseDataPreprocessor
from torch import Tensor

from ..errors import UserError
from ..registry import MODELS
from ..vit.patches import take_patches
from .target import Target


@MODELS.register_module()
class TokenTarget(Target):
    """One token for each patch, from a frozen tokenizer; loss: cross-entropy over the vocabulary (BEiT; MAE Table 1d).

    The tokenizer gets the whole image in [0, 1], resized so that one token corresponds to one patch: with patches of
    16, 224 pixels become 112 for a stride of 8, as in BEiT. Here the ViT's input is resized, bicubic with antialiasing;
    BEiT's tokenizer has a picture of its own (:meth:`tokens`), which the data set makes. The tokenizer runs in float32
    and in evaluation mode and gets no gradient. It is part of the model's state: a checkpoint of the MAE contains it,
    and its own file is needed only when training starts.

    The MAE needs a preprocessor that can undo its normalisation, such as
    :class:`~mae_transfer.pretraining.PhotoPreprocessor`.

    Args:
        tokenizer: config of the :class:`~mae_transfer.pretraining.Tokenizer`, e.g. ``dict(type='DVAE', vocab_size=512,
            checkpoint='work_dirs/tokenizer_dvae')``. ``checkpoint``: file or work_dir with its weights; without it,
            the target can only be loaded as part of a whole model.
    """

    pictured = 'the most probable token of each patch, also of the kept ones, decoded by the tokenizer'
    loss_unit = 'cross entropy of the tokens, in nats'

    to_unit: Callable[[Tensor], Tensor]
    from_unit: Callable[[Tensor], Tensor]

    def __init__(self, tokenizer: dict):
        super().__init__()
        tokenizer = dict(tokenizer)
        self.checkpoint = tokenizer.pop('checkpoint', None)
        self.tokenizer = MODELS.build(tokenizer).requires_grad_(False).eval()
        self.invertible = self.tokenizer.invertible
        # True once weights were loaded. A model would learn the tokens of random weights without any sign of a mistake.
        self.ready = False

    def use_preprocessor(self, preprocessor: BaseDataPreprocessor) -> None:
        """Keep the preprocessor's methods that convert normalised images to colours and back.

        Raises:
            UserError: the preprocessor has no such methods. Assuming some normalisation instead could give the
                tokenizer wrong colours without any sign of a mistake.
        """
        if not (hasattr(preprocessor, 'to_unit') and hasattr(preprocessor, 'from_unit')):
            raise UserError(
                'TokenTarget must know how images are normalised, to give the tokenizer their colours: set '
                "model.data_preprocessor=dict(type='PhotoPreprocessor'), with its mean and std; found "
                f'{type(preprocessor).__name__}, which has no to_unit and from_unit'
            )
        # The methods, not the module, which would become a submodule of the target.
        self.to_unit, self.from_unit = preprocessor.to_unit, preprocessor.from_unit

    def init_weights(self) -> None:
        """Load the tokenizer's own file; MMEngine's runner calls this before training starts."""
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
        """As ``nn.Module.train``, but the tokenizer stays in evaluation mode."""
        super().train(mode)
        self.tokenizer.eval()
        return self

    def dim(self, patch_size: int, channels: int) -> int:
        """Size V of the vocabulary.

        Raises:
            UserError: the tokenizer takes images of another number of channels.
        """
        if channels != self.tokenizer.channels:
            raise UserError(
                f'the tokenizer takes images of {self.tokenizer.channels} channels; the ViT has in_channels={channels}'
            )
        return self.tokenizer.vocab_size

    @torch.no_grad()
    def forward(self, images: Tensor, patch_size: int, index: Tensor | None = None) -> Tensor:
        """The token of each patch.

        Args:
            images: (B, C, H, W), normalised.
            patch_size: side of a patch in pixels.
            index: (B, M) numbers of the patches; None for all in row-major order.

        Returns:
            (B, M) int64.

        Raises:
            UserError: the tokenizer's weights were never loaded.
        """
        self._check_ready()
        with torch.autocast(images.device.type, enabled=False):
            size = self.token_image_size((images.shape[2], images.shape[3]), patch_size)
            tokens = self.tokens(_resize(self.to_unit(images.float()), size))
        return tokens if index is None else tokens.gather(1, index)

    def token_image_size(self, size: tuple[int, int], patch_size: int) -> list[int]:
        """(height, width) at which an image of ``size`` has one token for each patch."""
        return [round(side * self.tokenizer.stride / patch_size) for side in size]

    @torch.no_grad()
    def tokens(self, token_images: Tensor) -> Tensor:
        """The tokens (B, N) int64 of images in [0, 1], of the size in which there is one for each of N patches.

        Raises:
            UserError: the tokenizer's weights were never loaded.
        """
        self._check_ready()
        with torch.autocast(token_images.device.type, enabled=False):
            return self.tokenizer.tokens(token_images.float()).flatten(1)

    def loss(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Logits (B, M, V) and tokens (B, M) to the losses (B,) of the images in nats, float32."""
        return F.cross_entropy(prediction.float().transpose(1, 2), target, reduction='none').mean(dim=1)

    @torch.no_grad()
    def to_pixels(self, prediction: Tensor, images: Tensor, patch_size: int, index: Tensor | None = None) -> Tensor:
        """Decode the most probable tokens of the whole grid.

        Args:
            prediction: (B, M, V) logits.
            images: (B, C, H, W), normalised; patches that are not predicted get their true tokens.
            patch_size: side of a patch in pixels.
            index: (B, M) numbers of the predicted patches; None for all in row-major order.

        Returns:
            (B, M, C, p, p) patches of pixels, normalised as ``images`` are.

        Raises:
            UserError: the tokenizer cannot decode tokens, or its weights were never loaded.
        """
        self._check_ready()
        tokens = prediction.argmax(dim=-1)
        if index is not None:
            tokens = self(images, patch_size).scatter(1, index, tokens)
        height, width = images.shape[2:]
        with torch.autocast(images.device.type, enabled=False):
            decoded = self.tokenizer.decode(tokens.view(len(tokens), height // patch_size, width // patch_size))
            decoded = self.from_unit(_resize(decoded, [height, width]))
        return take_patches(decoded, patch_size, index)

    def _check_ready(self) -> None:
        if not self.ready:
            raise UserError(
                'the tokenizer has random weights: set model.target.tokenizer.checkpoint to a file or work_dir; '
                f'{self.tokenizer.advice}'
            )

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args: Any, **kwargs: Any) -> None:
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)
        self.ready = self.ready or all(
            f'{prefix}tokenizer.{name}' in state_dict for name in self.tokenizer.state_dict()
        )


def _resize(images: Tensor, size: list[int]) -> Tensor:
    """Images (B, C, H, W) in [0, 1] to the size (height, width), in [0, 1]: bicubic overshoots are clamped."""
    if list(images.shape[2:]) == size:
        return images
    return F.interpolate(images, size=size, mode='bicubic', align_corners=False, antialias=True).clamp(0, 1)
