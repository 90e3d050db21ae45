"""MAE: mask most patches, encode the rest, predict the masked ones."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..errors import UserError
from ..registry import MODELS, SCOPE
from ..vit.weights.checkpoint import starting_point
from .masked_model import MaskedModel
from .masking import Mask
from .starting_weights import load_mae


@MODELS.register_module()
class MAE(MaskedModel):
    """Masked autoencoder (He et al. 2022): ``masking``, ``decoder`` and ``target`` around a ViT.

    Args:
        vit: config of the :class:`~mae_transfer.vit.ViT`, the part that is kept after pre-training. The checkpoint of
            its ``init_cfg`` lends its decoder too, if it has one.
        masking: config of a :class:`~mae_transfer.pretraining.Masking`, e.g. ``dict(type='RandomMasking',
            ratio=.75)``.
        decoder: config of the decoder, without the sizes that follow from the other parts.
        target: config of a :class:`~mae_transfer.pretraining.Target`, e.g. ``dict(type='NormalizedPixelTarget')``.
        encoder_mask_tokens: whether the encoder also gets a learnt token for each masked patch (Table 1c, "encoder w/
            [M]"). The paper finds this worse, at 3.3 times the FLOPs.
        loss_on: 'masked': the loss is computed on the masked patches; 'all': on the kept ones too (section 3: half a
            point worse).
        data_preprocessor: config of the preprocessor that normalises the images on the device. The target learns from
            it how they are normalised.

    Raises:
        UserError: parts that do not fit together, before anything is computed.
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
        super().__init__(vit, masking, target, data_preprocessor, init_cfg)
        with MODELS.switch_scope_and_registry(SCOPE):
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
        self.mask_token: nn.Parameter | None = None
        if encoder_mask_tokens:
            self.mask_token = nn.Parameter(torch.zeros(1, 1, self.vit.embed_dim))
            nn.init.normal_(self.mask_token, std=0.02)

    def init_weights(self) -> None:
        """Load the checkpoint of ``vit.init_cfg``, if it names one: the ViT, and the decoder if
        :func:`~mae_transfer.pretraining.starting_weights.load_mae` finds that it fits.

        Raises:
            UserError: as ``load_mae``; the MAE itself has an ``init_cfg`` too.
        """
        start = starting_point(self.vit.init_cfg)
        if start is None:
            super().init_weights()
        elif self.init_cfg:
            raise UserError('both the MAE and its ViT have an init_cfg: leave model.init_cfg out')
        elif not self.is_init:
            load_mae(self.vit, self.decoder, self.target, **start)
            for part in (self.masking, self.target, self.decoder):
                if hasattr(part, 'init_weights'):  # such as a tokenizer's, which has a file of its own
                    part.init_weights()
            self._is_init = self.vit._is_init = True

    def forward(
        self, inputs: Tensor, seeds: Tensor | None = None, mode: str = 'loss', noise: Tensor | None = None
    ) -> dict[str, Tensor] | list[dict[str, float]] | tuple[Tensor, Mask]:
        """One forward pass, with the modes of MMEngine's runner.

        Args:
            inputs: (B, C, H, W) normalised images; H and W are multiples of the patch size.
            seeds: (B,) int64; the mask of an image depends on its seed alone. None: noise comes from PyTorch's global
                generator.
            mode: 'loss' for training; 'predict' for evaluation; 'tensor' for predictions and mask.
            noise: (B, L) masking noise instead of seeds; L: the masking's ``noise_length``.

        Returns:
            'loss': dict with the scalar ``loss``, over the patches of ``loss_on``. 'predict': for each image a dict
            with its ``loss``, over the masked patches. 'tensor': predictions (B, M, P) in the order of
            ``mask.masked``, and the :class:`Mask`.
        """
        mask = self.mask(inputs, seeds, noise)
        everywhere = mode == 'loss' and self.loss_on == 'all'
        prediction = self.predict(inputs, mask, everywhere)
        if mode == 'tensor':
            return prediction, mask
        wanted = self.target(inputs, self.vit.patch_size, None if everywhere else mask.masked)
        return self.losses(prediction, wanted, mode)

    def predict(self, images: Tensor, mask: Mask, everywhere: bool = False) -> Tensor:
        """The decoder's prediction (B, M, P) for the M masked patches; with ``everywhere`` (B, N, P) for all N patches,
        in row-major order."""
        tokens = self.vit.tokens(images, mask.keep, self.mask_token)
        if self.mask_token is not None:  # all patches, in image order; the decoder wants the kept ones first
            order = torch.cat(mask, dim=1)[..., None].expand(-1, -1, tokens.shape[2])
            tokens = torch.cat([tokens[:, :1], tokens[:, 1:].gather(1, order)], dim=1)
        return self.decoder(tokens, mask, self.grid(images), everywhere)
