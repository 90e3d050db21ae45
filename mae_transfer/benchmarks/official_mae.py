"""The official code's MAE, from a checkout of the user's: it is not part of this project (CC BY-NC)."""

from __future__ import annotations

import importlib
import sys
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from torch import Tensor, nn

from ..errors import UserError
from ..pretraining import MAE
from .plain_mae import timm_block
from .same_work import drawing, masked_share, side_of

#: Where --official said that the official code is.
_official: list[Path] = []


class OfficialMAE(nn.Module):
    """The official code's model, from a folder of the user's, around the blocks of the timm that is installed.

    It was written for timm 0.3.2, whose blocks took ``qk_scale``, and for a numpy that had ``np.float``.
    """

    def __init__(self, ours: MAE):
        super().__init__()
        vit, decoder = ours.vit, ours.decoder
        with mock.patch.object(np, 'float', float, create=True):
            self.model = import_official().MaskedAutoencoderViT(
                img_size=side_of(ours),
                patch_size=vit.patch_size,
                in_chans=vit.in_channels,
                embed_dim=vit.embed_dim,
                depth=vit.depth,
                num_heads=vit.blocks[0].attn.num_heads,
                decoder_embed_dim=decoder.pos_embed.shape[-1],
                decoder_depth=len(decoder.blocks),
                decoder_num_heads=decoder.blocks[0].attn.num_heads,
                mlp_ratio=vit.blocks[0].mlp.fc1.out_features / vit.embed_dim,
                norm_layer=partial(nn.LayerNorm, eps=1e-6),
                norm_pix_loss=True,
            )
        self.share = masked_share(ours)

    def forward(self, images: Tensor, noise: Tensor | None = None) -> Tensor:
        """The loss of images (B, C, H, W)."""
        with drawing(noise):
            return self.model(images, mask_ratio=self.share)[0]


def use_official(folder: str | Path) -> None:
    """Measure the official code in this folder, a checkout of facebookresearch/mae.

    Raises:
        UserError: the folder has no ``models_mae.py``.
    """
    path = Path(folder).resolve()
    if not (path / 'models_mae.py').is_file():
        raise UserError(f'--official: {folder} has no models_mae.py: name a checkout of facebookresearch/mae')
    _official[:] = [path]


def import_official() -> Any:
    """The module ``models_mae`` of the folder of :func:`use_official`.

    Raises:
        UserError: no folder was named; it cannot be imported.
    """
    if not _official:
        raise UserError("peer 'official' needs a checkout of facebookresearch/mae: name it by --official FOLDER")
    with (
        mock.patch.object(sys, 'path', [str(_official[0]), *sys.path]),
        mock.patch('timm.models.vision_transformer.Block', timm_block),
    ):
        try:
            return importlib.import_module('models_mae')
        except Exception as error:  # whatever their file does, the others are to be measured
            raise UserError(
                f"peer 'official': {_official[0]}/models_mae.py cannot be imported ({type(error).__name__}: {error}): "
                'install what is missing, or, for its own blocks too, timm==0.3.2 in an environment of that time'
            ) from error
