"""transformers' ViTs, each with the design of ours that is the same (:mod:`~mae_transfer.benchmarks.equality`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from .equality import DEPTH, HEADS, PATCH, SIZES, SQUARES, WIDTH, Start

_MLP = dict(intermediate_size=4 * WIDTH)


def _build(model: str, config: str, **settings: Any) -> Callable[[tuple[int, int]], nn.Module]:
    """Models are found when they are built: importing all of transformers takes seconds."""

    def build(size: tuple[int, int]) -> nn.Module:
        import transformers

        sides = dict(image_size=size[0] if size[0] == size[1] else size, patch_size=PATCH)
        sizes = dict(hidden_size=WIDTH, num_hidden_layers=DEPTH, num_attention_heads=HEADS)
        return getattr(transformers, model)(getattr(transformers, config)(**sizes, **sides, **settings))

    return build


def _encoder(model: Any) -> Any:
    """The model without a head."""
    for name in ('vit', 'beit', 'data2vec_vision', 'dinov2', 'dinov2_with_registers', 'vision_model'):
        model = getattr(model, name, model)
    return model


def _tokens(registers: int = 0, num_class: int = 1, **options: Any) -> Callable[[nn.Module, Tensor], Tensor]:
    def tokens(model: nn.Module, images: Tensor) -> Tensor:
        hidden = _encoder(model)(images, **options).last_hidden_state
        return torch.cat([hidden[:, :num_class], hidden[:, num_class + registers :]], dim=1)

    return tokens


def _clip_tokens(model: nn.Module, images: Tensor) -> Tensor:
    """CLIP's last norm is for the class token alone: transformers applies it after the last hidden state."""
    vision = _encoder(model)
    return vision.post_layernorm(vision(images, interpolate_pos_encoding=True).last_hidden_state)


def _sam_tokens(model: nn.Module, images: Tensor) -> Tensor:
    """The patches that SAM's ViT gives to its neck."""
    encoder: Any = model.vision_encoder
    x = encoder.patch_embed(images) + encoder.pos_embed
    for layer in encoder.layers:
        x = layer(x)
        x = x[0] if isinstance(x, tuple) else x
    return x.flatten(1, 2)


def transformers_starts() -> list[Start]:
    """The starts; a function, so that they are built where they are needed."""
    beit = dict(_MLP, layer_norm_eps=1e-6, use_mean_pooling=False)
    masked = dict(_MLP, layer_norm_eps=1e-6, use_mask_token=True, vocab_size=16)
    tables, shared = dict(use_relative_position_bias=True), dict(use_shared_relative_position_bias=True)
    dinov2, dinov3 = dict(layer_norm_eps=1e-6), dict(_MLP, num_register_tokens=4)
    clip = dict(_MLP, layer_norm_eps=1e-5, hidden_act='quick_gelu', projection_dim=16)
    eps = dict(_MLP, layer_norm_eps=1e-6)
    # BEiT's class resizes tables with rows and columns exchanged; that of DINOv2 with registers resizes positions with
    # antialiasing, and SAM's takes one size only.
    only_squares = (*SQUARES, (40, 40))
    interpolated: dict[str, Any] = dict(sizes=((40, 40), *SIZES), built_for=(40, 40))
    sam = dict(
        num_channels=3,
        window_size=3,
        global_attn_indexes=[1],
        output_channels=16,
        mlp_dim=4 * WIDTH,
        layer_norm_eps=1e-6,
    )
    sam_vit = dict(class_token=False, final_norm=False, window_size=3, global_blocks=(1,), rel_pos='decomposed')
    return [
        _start('ViT', 'ViTModel', 'ViTConfig', eps, 'hf'),
        _start('ViT, masked images', 'ViTForMaskedImageModeling', 'ViTConfig', dict(eps, encoder_stride=PATCH), 'hf'),
        _start(
            'I-JEPA', 'IJepaModel', 'IJepaConfig', eps, 'hf', vit=dict(class_token=False), tokens=_tokens(num_class=0)
        ),
        _start(
            'BEiT, BEiT v2',
            'BeitModel',
            'BeitConfig',
            {**beit, **tables},
            'hf_beit',
            'beit',
            vit=dict(rel_pos='table'),
            sizes=only_squares,
        ),
        _start(
            'BEiT, pre-trained',
            'BeitForMaskedImageModeling',
            'BeitConfig',
            {**masked, **shared},
            'hf_beit',
            'beit',
            vit=dict(rel_pos='shared'),
            sizes=only_squares,
            tokens=_masked_beit_tokens,
        ),
        _start(
            'data2vec',
            'Data2VecVisionModel',
            'Data2VecVisionConfig',
            {**beit, **tables},
            'hf_beit',
            'beit',
            vit=dict(rel_pos='table'),
            sizes=only_squares,
        ),
        _start('DINOv2', 'Dinov2Model', 'Dinov2Config', dinov2, 'hf_dinov2', 'dinov2', **interpolated),
        _start(
            'DINOv2 giant',
            'Dinov2Model',
            'Dinov2Config',
            dict(dinov2, use_swiglu_ffn=True),
            'hf_dinov2',
            dict(like='dinov2', mlp='swiglu'),
            mlp_ratio=176 / WIDTH,
            **interpolated,
        ),
        _start(
            'DINOv2 with registers',
            'Dinov2WithRegistersModel',
            'Dinov2WithRegistersConfig',
            dict(dinov2, num_register_tokens=4),
            'hf_dinov2',
            dict(like='dinov2', registers=4),
            tokens=_tokens(4),
            sizes=only_squares,
        ),
        _start('DINOv3', 'DINOv3ViTModel', 'DINOv3ViTConfig', dinov3, 'hf_dinov3', 'dinov3', tokens=_tokens(4)),
        _start(
            'DINOv3, 7B',
            'DINOv3ViTModel',
            'DINOv3ViTConfig',
            dict(dinov3, use_gated_mlp=True, hidden_act='silu'),
            'hf_dinov3',
            dict(like='dinov3', mlp='swiglu'),
            tokens=_tokens(4),
        ),
        _start(
            'CLIP',
            'CLIPVisionModel',
            'CLIPVisionConfig',
            clip,
            'hf_clip',
            'clip',
            tokens=_clip_tokens,
            built_for=(32, 32),
        ),
        _start(
            'CLIP with its projection',
            'CLIPVisionModelWithProjection',
            'CLIPVisionConfig',
            clip,
            'hf_clip',
            'clip',
            tokens=_clip_tokens,
            built_for=(32, 32),
        ),
        _start(
            'SigLIP',
            'SiglipVisionModel',
            'SiglipVisionConfig',
            eps,
            'hf_siglip',
            'siglip',
            vit=dict(class_token=False),
            tokens=_tokens(num_class=0, interpolate_pos_encoding=True),
            built_for=(32, 32),
        ),
        _start(
            'SAM',
            'SamVisionModel',
            'SamVisionConfig',
            sam,
            'hf_sam',
            vit=sam_vit,
            tokens=_sam_tokens,
            sizes=only_squares,
        ),
    ]


def _masked_beit_tokens(model: nn.Module, images: Tensor) -> Tensor:
    beit: Any = model.beit
    return model.layernorm(beit(images).last_hidden_state)  # type: ignore[operator]


def _start(
    name: str, model: str, config: str, settings: dict[str, Any], layout: str, design: Any = None, **more: Any
) -> Start:
    vit, tokens = dict(design=design, **more.pop('vit', {})), more.pop('tokens', _tokens())
    return Start(name, f'transformers {model}', _build(model, config, **settings), tokens, layout, vit, **more)
