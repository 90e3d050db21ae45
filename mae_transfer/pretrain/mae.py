"""MAE: hide most patches, encode the rest, guess the hidden ones."""

from __future__ import annotations

import torch
from mmengine.model import BaseModel
from torch import Tensor, nn

from ..errors import UserError
from ..registry import MODELS, SCOPE
from ..vit.patches import join_patches
from .masking import Mask, seeded_noise


@MODELS.register_module()
class MAE(BaseModel):
    """Masked autoencoder (He et al. 2022): ``masking``, ``decoder`` and ``target`` around a ViT.

    Args:
        vit: config of the :class:`~mae_transfer.vit.ViT`, the product.
        masking: config of the masking, e.g. ``dict(type='RandomMasking', ratio=.75)``.
        decoder: config of the decoder, without the sizes that follow from the others.
        target: config of the target, e.g. ``dict(type='NormalizedPixelTarget')``.
        encoder_mask_tokens: whether the encoder is given a learnt token for each masked patch (Table 1c, "encoder w/
            [M]"): 3.3 times the FLOPs for a worse ViT, which is what the paper shows with it.
        loss_on: 'masked': the loss counts masked patches; 'all': kept ones too (section 3: half a point worse).
        data_preprocessor: config of the preprocessor that normalises the images on the device.

    Raises:
        UserError: sizes that do not fit, before anything is computed.
    """

    def __init__(
        self,
        vit: dict,
        masking: dict,
        decoder: dict,
        target: dict,
        encoder_mask_tokens: bool = False,
        loss_on: str = 'masked',
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ):
        if loss_on not in ('masked', 'all'):
            raise UserError(f"loss_on is 'masked' or 'all'; found '{loss_on}'")
        # In our own scope, so that short names work under any default scope of the runner.
        with MODELS.switch_scope_and_registry(SCOPE):
            super().__init__(data_preprocessor, init_cfg)
            self.vit = MODELS.build(vit)
            self.masking = MODELS.build(masking)
            self.masking.num_kept(
                self.vit.grid
            )  # refuses a ratio that hides nothing or all, now rather than at step one
            self.target = MODELS.build(target)
            self.decoder = MODELS.build(
                dict(
                    decoder,
                    in_dim=self.vit.embed_dim,
                    grid=self.vit.grid,
                    mask_token=not encoder_mask_tokens,
                    out_dim=self.target.dim(self.vit.patch_size, self.vit.in_channels),
                )
            )
        self.loss_on = loss_on
        self.mask_token = nn.Parameter(torch.zeros(1, 1, self.vit.embed_dim)) if encoder_mask_tokens else None
        if encoder_mask_tokens:
            nn.init.normal_(self.mask_token, std=0.02)

    def forward(self, inputs: Tensor, seeds: Tensor | None = None, mode: str = 'loss', noise: Tensor | None = None):
        """One pass, as MMEngine's runner asks for it.

        Args:
            inputs: (B, C, H, W) normalised images, H and W multiples of the patch.
            seeds: (B,) int64: each image is masked by its own seed; None draws from the global generator.
            mode: 'loss' for training; 'predict' for evaluation; 'tensor' for predictions and mask.
            noise: (B, L) masking noise, in place of seeds; L: the masking's ``noise_length``.

        Returns:
            'loss': dict with the scalar ``loss``, over the patches of ``loss_on``. 'predict': for each image a dict
            with its ``loss`` over masked patches. 'tensor': predictions (B, M, P) in the order of the mask, and the
            :class:`Mask`.
        """
        mask = self.mask(inputs, seeds, noise)
        everywhere = mode == 'loss' and self.loss_on == 'all'
        prediction = self.predict(inputs, mask, everywhere)
        if mode == 'tensor':
            return prediction, mask
        losses = self.target.loss(
            prediction, self.target(inputs, self.vit.patch_size, None if everywhere else mask.masked)
        )
        if mode == 'loss':
            return dict(loss=losses.mean())
        if mode == 'predict':
            return [dict(loss=loss.item()) for loss in losses]
        raise ValueError(f"mode is 'loss', 'predict' or 'tensor'; found '{mode}'")

    def mask(self, images: Tensor, seeds: Tensor | None = None, noise: Tensor | None = None) -> Mask:
        """Draw the mask of each image of (B, C, H, W), by its seed or by given noise (B, L)."""
        grid = self.grid(images)
        if noise is None:
            length = self.masking.noise_length(grid)
            noise = (
                torch.rand(len(images), length, device=images.device) if seeds is None else seeded_noise(seeds, length)
            )
        return self.masking(grid, noise)

    def grid(self, images: Tensor) -> tuple[int, int]:
        """(rows, columns) of the images' patches."""
        return images.shape[2] // self.vit.patch_size, images.shape[3] // self.vit.patch_size

    def predict(self, images: Tensor, mask: Mask, everywhere: bool = False) -> Tensor:
        """The decoder's prediction (B, M, P) for masked patches; (B, N, P), row-major, with ``everywhere``."""
        grid, beside = self.grid(images), None
        if self.mask_token is not None:
            beside = self.mask_token + self.vit.positions(grid)[0, self.vit.num_prefix :][mask.masked]
        return self.decoder(self.vit.tokens(images, mask.keep, beside), mask, grid, everywhere)

    @torch.no_grad()
    def reconstruct(self, images: Tensor, mask: Mask) -> Tensor:
        """Fill the masked patches of (B, C, H, W) normalised images with what the model predicts; kept patches stay."""
        predicted = self.target.to_pixels(self.predict(images, mask, everywhere=True), images, self.vit.patch_size)
        predicted = join_patches(predicted, self.grid(images))
        hidden = mask.as_image_order().reshape(len(images), 1, *self.grid(images))
        hidden = hidden.repeat_interleave(self.vit.patch_size, 2).repeat_interleave(self.vit.patch_size, 3)
        return images * (1 - hidden) + predicted * hidden
