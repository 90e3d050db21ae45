"""BEiT: mask blocks of patches, and predict their tokens from the ViT's own output."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ..errors import UserError
from ..registry import MODELS
from ..vit import ViT
from .masked_model import MaskedModel
from .masking import Mask
from .token_target import TokenTarget

#: Deviation of BEiT's random weights, which are cut off at one deviation (official ``modeling_pretrain.py``).
INIT_STD = 0.02


@MODELS.register_module()
class BEiT(MaskedModel):
    """BEiT (Bao et al. 2021): a ViT that sees a learnt token in place of each masked patch, and a linear head.

    The head predicts the token of each masked patch from the final norm's output; loss: cross-entropy. There is no
    decoder. Random weights are those of the official code (:func:`init_like_beit`).

    Args:
        vit: config of the :class:`~mae_transfer.vit.ViT`, the part that is kept after pre-training: parameters
            ``vit.*``. BEiT's is ``design='beit'`` with ``rel_pos='shared'``.
        masking: config of the masking, e.g. ``dict(type='BlockMasking', ratio=.3826)``, which masks 75 of 14 x 14
            patches in every image, where the official generator masks up to 75.
        target: config of a :class:`~mae_transfer.pretraining.TokenTarget`.
        data_preprocessor: config of the preprocessor that normalises the images on the device.

    Raises:
        UserError: a target that has no tokens; a ViT without positions; as :class:`MaskedModel`.
    """

    target: TokenTarget

    def __init__(
        self,
        vit: dict,
        masking: dict,
        target: dict,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ):
        super().__init__(vit, masking, target, data_preprocessor, init_cfg)
        if not isinstance(self.target, TokenTarget):
            raise UserError(
                "BEiT predicts tokens: set model.target.type='TokenTarget', with a tokenizer; found "
                f'{type(self.target).__name__}'
            )
        if self.vit.rel_pos is None and self.vit.pos_embed is None and self.vit.rotary is None:
            raise UserError(
                'the ViT has no positions, so that all masked patches look alike to it: set model.vit.rel_pos='
                "'shared', as BEiT"
            )
        self.mask_token = nn.Parameter(torch.zeros(1, 1, self.vit.embed_dim))
        self.lm_head = nn.Linear(self.vit.embed_dim, self.target.dim(self.vit.patch_size, self.vit.in_channels))
        init_like_beit(self)

    def forward(
        self,
        inputs: Tensor,
        seeds: Tensor | None = None,
        mode: str = 'loss',
        noise: Tensor | None = None,
        token_images: Tensor | None = None,
    ) -> dict[str, Tensor] | list[dict[str, float]] | tuple[Tensor, Mask]:
        """One forward pass, with the modes of MMEngine's runner.

        Args:
            inputs, seeds, mode, noise: as :meth:`MAE.forward`.
            token_images: (B, C, h, w) in [0, 1]: the tokenizer's own pictures of the same crops, of the size in which
                there is one token for each patch, such as 112 x 112 for 224 x 224. None: ``inputs`` are resized
                (:class:`~mae_transfer.pretraining.TokenTarget`).

        Returns:
            'loss': dict of the scalar ``loss``, over the masked patches, and of ``mlm_acc``, the share of them whose
            token has the largest logit. 'predict': for each image a dict with its ``loss``. 'tensor': logits (B, M, V)
            in the order of ``mask.masked``, and the :class:`Mask`.

        Raises:
            UserError: pictures of another size; a tokenizer whose weights were never loaded.
        """
        mask = self.mask(inputs, seeds, noise)
        logits = self.predict(inputs, mask)
        if mode == 'tensor':
            return logits, mask
        tokens = self.tokens(inputs, mask, token_images)
        outputs = self.losses(logits, tokens, mode)
        if isinstance(outputs, dict):
            outputs['mlm_acc'] = (logits.detach().argmax(dim=-1) == tokens).float().mean()
        return outputs

    def predict(self, images: Tensor, mask: Mask, everywhere: bool = False) -> Tensor:
        """Logits over the vocabulary, as :meth:`MaskedModel.predict`."""
        encoded = self.vit.tokens(images, mask.keep, self.mask_token)[:, self.vit.num_prefix :]
        if not everywhere:
            encoded = encoded.gather(1, mask.masked[..., None].expand(-1, -1, encoded.shape[2]))
        return self.lm_head(encoded)

    def tokens(self, images: Tensor, mask: Mask, token_images: Tensor | None = None) -> Tensor:
        """The tokens (B, M) of the masked patches, which the head has to predict; see :meth:`forward`."""
        if token_images is None:
            return self.target(images, self.vit.patch_size, mask.masked)
        wanted = self.target.token_image_size((images.shape[2], images.shape[3]), self.vit.patch_size)
        if list(token_images.shape[2:]) != wanted:
            found = ' x '.join(map(str, token_images.shape[2:]))
            raise UserError(
                f"the tokenizer's pictures are {found}, but it gives each patch a token at {wanted[0]} x {wanted[1]}: "
                f'set token_scale of the data sets to {wanted[0] / images.shape[2]:g}'
            )
        return self.target.tokens(token_images).gather(1, mask.masked)


@torch.no_grad()
def init_like_beit(model: BEiT) -> None:
    """Initialize the ViT, the mask token and the head of a BEiT as the official code does (``modeling_pretrain.py``).

    Linear layers, patch embedding, class and mask token: normal with std .02, cut off at one deviation; biases zero.
    The last layers of attention and MLP in block n = 1, 2, ... are then divided by sqrt(2 n). Norms, layer scale and
    relative positions stay as the ViT has them.
    """
    vit: ViT = model.vit
    layers = [module for module in vit.modules() if isinstance(module, (nn.Linear, nn.Conv2d))]
    for layer in (*layers, model.lm_head):
        _cut_normal(layer.weight)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
    for token in (vit.cls_token, vit.reg_token, model.mask_token):
        if token is not None:
            _cut_normal(token)
    for number in range(vit.depth):
        for name in ('attn.proj', 'mlp.fc2'):
            vit.get_parameter(f'blocks.{number}.{name}.weight').div_(math.sqrt(2 * (number + 1)))


def _cut_normal(parameter: Tensor) -> None:
    nn.init.trunc_normal_(parameter, std=INIT_STD, a=-INIT_STD, b=INIT_STD)
