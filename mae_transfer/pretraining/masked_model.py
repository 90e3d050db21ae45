"""What pre-trainings by masking share: a ViT, a masking and a target, masks drawn from seeds, losses and pictures."""

from __future__ import annotations

from abc import abstractmethod

import torch
from mmengine.model import BaseModel
from torch import Tensor

from ..registry import MODELS, SCOPE
from ..vit.patches import join_patches
from .masking import Mask, Masking, seeded_noise


class MaskedModel(BaseModel):
    """Base class of models that predict the masked patches of an image from the others.

    A subclass implements :meth:`predict`, and ``forward`` with the modes of MMEngine's runner; :meth:`losses` gives the
    outputs of the modes 'loss' and 'predict'.

    Args:
        vit: config of the :class:`~mae_transfer.vit.ViT`, the part that is kept after pre-training.
        masking: config of a :class:`~mae_transfer.pretraining.Masking`.
        target: config of a :class:`~mae_transfer.pretraining.Target`.
        data_preprocessor: config of the preprocessor that normalises the images on the device. The target learns from
            it how they are normalised.

    Raises:
        UserError: a masking that masks no patch of the ViT's grid, or all; a target that cannot work with the
            preprocessor.
    """

    def __init__(
        self,
        vit: dict,
        masking: dict,
        target: dict,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ):
        # In our own scope, so that short names work under any default scope of the runner.
        with MODELS.switch_scope_and_registry(SCOPE):
            super().__init__(data_preprocessor, init_cfg)
            self.vit = MODELS.build(vit)
            self.masking = MODELS.build(masking)
            self.masking.num_kept(self.vit.grid)  # refuses a ratio that masks none or all, now rather than at step one
            self.target = MODELS.build(target)
            self.target.use_preprocessor(self.data_preprocessor)

    @abstractmethod
    def predict(self, images: Tensor, mask: Mask, everywhere: bool = False) -> Tensor:
        """The prediction (B, M, P) for the M masked patches of (B, C, H, W) normalised images, in the order of
        ``mask.masked``; with ``everywhere`` (B, N, P) for all N patches, in row-major order."""

    def mask(
        self, images: Tensor, seeds: Tensor | None = None, noise: Tensor | None = None, masking: Masking | None = None
    ) -> Mask:
        """Draw the mask of each image of (B, C, H, W), from its seed or from the given noise (B, L); by another masking
        than the model's own, if one is given."""
        masking, grid = masking or self.masking, self.grid(images)
        if noise is None:
            length = masking.noise_length(grid)
            if seeds is None:
                noise = torch.rand(len(images), length, device=images.device)
            else:
                noise = seeded_noise(seeds, length)
        return masking(grid, noise)

    def grid(self, images: Tensor) -> tuple[int, int]:
        """(rows, columns) of the images' patches."""
        return images.shape[2] // self.vit.patch_size, images.shape[3] // self.vit.patch_size

    def losses(self, prediction: Tensor, wanted: Tensor, mode: str) -> dict[str, Tensor] | list[dict[str, float]]:
        """The outputs of a mode, for predictions (B, M, P) and the target's values for the same patches.

        Returns:
            'loss': dict with the scalar ``loss``. 'predict': for each image a dict with its ``loss``.
        """
        losses = self.target.loss(prediction, wanted)
        if mode == 'loss':
            return dict(loss=losses.mean())
        if mode == 'predict':
            return [dict(loss=loss.item()) for loss in losses]
        raise ValueError(f"mode is 'loss', 'predict' or 'tensor'; found '{mode}'")

    @torch.no_grad()
    def reconstruct(self, images: Tensor, mask: Mask, paste: bool = True) -> Tensor:
        """Turn the model's predictions for (B, C, H, W) normalised images into images.

        Args:
            paste: whether the kept patches are those of the image. If not, they are the model's predictions, too, as in
                the paper's Fig. 2; these are worse than those of masked patches, unless the loss is on all patches.

        Returns:
            (B, C, H, W), normalised as ``images`` are.

        Raises:
            UserError: the target cannot turn its predictions into pixels.
        """
        predicted = self.target.to_pixels(self.predict(images, mask, everywhere=True), images, self.vit.patch_size)
        predicted = join_patches(predicted, self.grid(images))
        if not paste:
            return predicted
        masked = mask.as_picture(self.grid(images), self.vit.patch_size)
        return images * (1 - masked) + predicted * masked
