"""MAE of other projects, each as a module from images to the loss, of the sizes of one of ours.

``module(images)`` draws a mask as the project does; ``module(images, noise)`` takes the mask that follows from noise
(B, L), the least of which is kept, as in ours. The names of the weights are those of a layout that
:mod:`~mae_transfer.vit.weights.layouts` knows.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from unittest import mock

import torch
from torch import Tensor, nn

from ..pretraining import MAE
from .official_mae import OfficialMAE, import_official
from .peers import import_package
from .plain_mae import PlainMAE
from .same_work import drawing, masked_share, side_of


class TransformersMAE(nn.Module):
    """transformers' ``ViTMAEForPreTraining``."""

    def __init__(self, ours: MAE):
        super().__init__()
        from transformers import ViTMAEConfig, ViTMAEForPreTraining

        vit, decoder = ours.vit, ours.decoder
        width, decoder_width = vit.embed_dim, decoder.pos_embed.shape[-1]
        settings: dict[str, Any] = dict(
            hidden_size=width,
            num_hidden_layers=vit.depth,
            num_attention_heads=vit.blocks[0].attn.num_heads,
            intermediate_size=vit.blocks[0].mlp.fc1.out_features,
            layer_norm_eps=1e-6,
            image_size=side_of(ours),
            patch_size=vit.patch_size,
            num_channels=vit.in_channels,
            decoder_hidden_size=decoder_width,
            decoder_num_hidden_layers=len(decoder.blocks),
            decoder_num_attention_heads=decoder.blocks[0].attn.num_heads,
            decoder_intermediate_size=decoder.blocks[0].mlp.fc1.out_features,
            mask_ratio=masked_share(ours),
            norm_pix_loss=True,
        )
        self.model = ViTMAEForPreTraining(ViTMAEConfig(**settings))

    def forward(self, images: Tensor, noise: Tensor | None = None) -> Tensor:
        """The loss of images (B, C, H, W)."""
        return self.model(images, noise=noise).loss


class LightlyMAE(nn.Module):
    """lightly's masked ViT around timm's and its decoder for MAE, put together as its example of MAE does.

    Differences from the example: normalised pixels as the target, and as many kept patches as in ours (its
    ``random_token_mask`` counts the class token among them).
    """

    def __init__(self, ours: MAE):
        super().__init__()
        from lightly.models import utils
        from lightly.models.modules import MAEDecoderTIMM, MaskedVisionTransformerTIMM
        from timm.models.vision_transformer import VisionTransformer

        vit, _decoder = ours.vit, ours.decoder
        theirs = VisionTransformer(
            img_size=side_of(ours),
            patch_size=vit.patch_size,
            in_chans=vit.in_channels,
            num_classes=0,
            embed_dim=vit.embed_dim,
            depth=vit.depth,
            num_heads=vit.blocks[0].attn.num_heads,
            mlp_ratio=vit.blocks[0].mlp.fc1.out_features / vit.embed_dim,
        )
        with warnings.catch_warnings():
            warnings.simplefilter('ignore', FutureWarning)  # it has a newer class of another form
            self.decoder = MAEDecoderTIMM(**_decoder_settings(ours))
        self.backbone = MaskedVisionTransformerTIMM(vit=theirs)
        self.utils, self.patch_size, self.num_kept = utils, vit.patch_size, ours.masking.num_kept(vit.grid)

    def forward(self, images: Tensor, noise: Tensor | None = None) -> Tensor:
        """The loss of images (B, C, H, W)."""
        batch, count = len(images), self.backbone.sequence_length - 1
        if noise is None:
            noise = torch.rand(batch, count, device=images.device)
        order = noise.argsort(dim=1) + 1  # the class token is number 0, and always kept
        kept = torch.cat([torch.zeros_like(order[:, :1]), order[:, : self.num_kept]], dim=1)
        masked = order[:, self.num_kept :]
        encoded = self.decoder.embed(self.backbone.encode(images=images, idx_keep=kept))
        tokens = self.utils.repeat_token(self.decoder.mask_token, (batch, count + 1))
        tokens = self.utils.set_at_index(tokens, kept, encoded.type_as(tokens))
        predicted = self.decoder.predict(self.utils.get_at_index(self.decoder.decode(tokens), masked))
        patches = self.utils.get_at_index(self.utils.patchify(images, self.patch_size), masked - 1)
        return nn.functional.mse_loss(predicted, self.utils.normalize_mean_var(patches))


def _decoder_settings(ours: MAE) -> dict[str, Any]:
    """The sizes of our decoder, by the names of the official code, which others took over."""
    vit, decoder = ours.vit, ours.decoder
    width = decoder.pos_embed.shape[-1]
    return dict(
        num_patches=vit.grid[0] * vit.grid[1],
        patch_size=vit.patch_size,
        in_chans=vit.in_channels,
        embed_dim=vit.embed_dim,
        decoder_embed_dim=width,
        decoder_depth=len(decoder.blocks),
        decoder_num_heads=decoder.blocks[0].attn.num_heads,
        mlp_ratio=decoder.blocks[0].mlp.fc1.out_features / width,
    )


class MMPretrainMAE(nn.Module):
    """mmpretrain's ``MAE``, with its decoder as the neck."""

    def __init__(self, ours: MAE):
        super().__init__()
        from mmpretrain.registry import MODELS

        vit, _decoder = ours.vit, ours.decoder
        sizes = dict(
            embed_dims=vit.embed_dim,
            num_layers=vit.depth,
            num_heads=vit.blocks[0].attn.num_heads,
            feedforward_channels=vit.blocks[0].mlp.fc1.out_features,
        )
        with MODELS.switch_scope_and_registry('mmpretrain') as models:
            self.model = models.build(
                dict(
                    type='MAE',
                    backbone=dict(
                        type='MAEViT',
                        arch=sizes,
                        img_size=side_of(ours),
                        patch_size=vit.patch_size,
                        mask_ratio=masked_share(ours),
                    ),
                    neck=dict(type='MAEPretrainDecoder', **_decoder_settings(ours)),
                    head=dict(
                        type='MAEPretrainHead',
                        norm_pix=True,
                        patch_size=vit.patch_size,
                        loss=dict(type='PixelReconstructionLoss', criterion='L2'),
                    ),
                )
            )

    def forward(self, images: Tensor, noise: Tensor | None = None) -> Tensor:
        """The loss of images (B, C, H, W)."""
        with drawing(noise):
            return self.model.loss(images, [])['loss']


def import_mmpretrain() -> None:
    """Import mmpretrain without its multimodal models, which need transformers < 5.

    Raises:
        UserError: it, or a package that it needs, is not installed.
    """
    package = 'onedl-mmpretrain model-index'
    import_package('mmpretrain', 'mmpretrain.utils.dependency', package)
    with mock.patch('mmpretrain.utils.dependency.WITH_MULTIMODAL', False):
        import_package('mmpretrain', 'mmpretrain.models', package)


class PretrainPeer(NamedTuple):
    """One project.

    Args:
        build: its module, of the sizes of ours.
        load: imports it, or raises ``UserError`` with one line.
        names: its names of weights to those of a known layout.
    """

    build: Callable[[MAE], nn.Module]
    load: Callable[[], object]
    names: Callable[[Mapping[str, Tensor]], dict[str, Tensor]] = dict


def _below_model(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix('model.'): value for name, value in state.items()}


def _lightly_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The official names; the encoder's own mask token, which MAE does not use, is left out."""
    found = {name: value for name, value in state.items() if name != 'backbone.mask_token'}
    return {name.removeprefix('backbone.vit.').removeprefix('decoder.'): value for name, value in found.items()}


PRETRAIN_PEERS: dict[str, PretrainPeer] = {
    'plain': PretrainPeer(PlainMAE, lambda: None),
    'transformers': PretrainPeer(
        TransformersMAE,
        lambda: import_package('transformers', 'transformers.models.vit_mae.modeling_vit_mae', 'transformers'),
        _below_model,
    ),
    'lightly': PretrainPeer(
        LightlyMAE, lambda: import_package('lightly', 'lightly.models.modules', 'lightly'), _lightly_names
    ),
    'mmpretrain': PretrainPeer(MMPretrainMAE, import_mmpretrain, _below_model),
    'official': PretrainPeer(OfficialMAE, import_official, _below_model),
}
