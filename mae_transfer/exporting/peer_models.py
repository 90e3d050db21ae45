"""Which model of timm or transformers computes what our ViT computes: its class, its settings and the layout of its
weights (:mod:`~mae_transfer.vit.weights.layouts`).

Nothing here is trusted: the folder is loaded and compared (:mod:`~.model_folder`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..classify import ViTClassifier
from ..errors import UserError
from ..paths import shown
from ..pretraining import MAE
from ..pretraining.decoder import MAEDecoder
from ..pretraining.masking import RandomMasking
from ..pretraining.target import NormalizedPixelTarget, PixelTarget
from ..vit import ViT
from ..vit.sizes import SIZES
from .source import Source

_TRANSFORMERS_ACTIVATIONS = dict(gelu='gelu', gelu_tanh='gelu_pytorch_tanh', quick_gelu='quick_gelu')
_TIMM_NAMES = dict(tiny='vit_tiny_patch16_224', small='vit_small_patch16_224', base='vit_base_patch16_224')
_TIMM_NAMES |= dict(large='vit_large_patch16_224', huge='vit_huge_patch14_224')


@dataclass(frozen=True)
class PeerModel:
    """Another project's model.

    Attributes:
        layout: of its weights.
        name: timm's architecture, or the class of transformers.
        settings: arguments of timm's model, or of the class's config.
        with_decoder: whether its weights have the decoder of a pre-training.
    """

    layout: str
    name: str
    settings: dict[str, Any]
    with_decoder: bool = False


def timm_model(source: Source) -> PeerModel:
    """timm's model for a ViT or a classifier.

    Raises:
        UserError: timm has none.
    """
    vit, design, who = source.vit, source.vit.design, shown(source.name)
    classes, pool = _head(source, 'timm')
    settings: dict[str, Any] = dict(
        img_size=_sides(source),
        patch_size=vit.patch_size,
        in_chans=vit.in_channels,
        embed_dim=vit.embed_dim,
        depth=vit.depth,
        num_heads=vit.size.num_heads,
        mlp_ratio=vit.size.mlp_ratio,
        class_token=bool(vit.num_prefix),
        num_classes=classes,
    )
    _refuse_windows(vit, who, 'timm')
    gated = design.mlp == 'swiglu'
    if vit.rel_pos == 'table':
        del settings['class_token']
        settings |= dict(use_rel_pos_bias=True, use_abs_pos_emb=design.absolute_positions)
        settings |= dict(init_values=design.layer_scale, global_pool='avg' if pool == 'avg' else '')
        return PeerModel('timm_beit', 'beit_base_patch16_224', settings)
    settings |= dict(init_values=design.layer_scale, qkv_bias=bool(design.qkv_bias), global_pool=pool)
    if design.rotary:
        settings |= dict(num_reg_tokens=design.registers, use_abs_pos_emb=design.absolute_positions)
        if design.rotary == 'dinov3':
            return PeerModel(
                'timm_eva', 'vit_base_patch16_dinov3', settings | dict(swiglu_mlp=gated, swiglu_align_to=int(gated))
            )
        name = 'eva02_base_patch14_224' if design.mlp_norm else 'eva02_tiny_patch14_224'
        assert vit.rotary is not None
        return PeerModel('timm_eva', name, settings | dict(ref_feat_shape=list(vit.rotary.grid)))
    settings |= dict(reg_tokens=design.registers, no_embed_class=design.registers > 0)
    settings |= dict(pre_norm=design.pre_norm, qk_norm=design.qk_norm)
    settings |= dict(scale_attn_norm=design.attention_norm, scale_mlp_norm=design.mlp_norm and not gated)
    if not design.absolute_positions:
        settings['pos_embed'] = 'none'
    if pool != 'avg':
        settings['fc_norm'] = False
        if not _has_final_norm(vit):
            settings['final_norm'] = False
    if gated:  # which has silu in timm's table, and both halves of the MLP in one layer
        settings['mlp_ratio'] = 2 * vit.size.mlp_ratio
        return PeerModel('timm', 'vit_giant_patch14_dinov2', settings)
    if design.mlp != 'gelu':
        settings['act_layer'] = design.mlp
    if design.norm_eps == 1e-5:  # an epsilon is no argument of timm's; this one is CLIP's
        return PeerModel('timm', 'vit_base_patch16_clip_quickgelu_224', dict(act_layer='gelu') | settings)
    return PeerModel('timm', _timm_name(vit), settings)


def _timm_name(vit: ViT) -> str:
    """The architecture of the same size, or ViT-B's, whose size the settings change."""
    known = (size for size, table in SIZES.items() if table == vit.size and vit.patch_size == table.patch_size)
    return _TIMM_NAMES[next(known, 'base')]


def transformers_model(source: Source) -> PeerModel:
    """transformers' model for a ViT, a classifier or an MAE.

    Raises:
        UserError: transformers has none.
    """
    vit, design, who = source.vit, source.vit.design, shown(source.name)
    classes, pool = _head(source, 'transformers')
    _refuse_windows(vit, who, 'transformers')
    settings: dict[str, Any] = dict(
        hidden_size=vit.embed_dim,
        num_hidden_layers=vit.depth,
        num_attention_heads=vit.size.num_heads,
        intermediate_size=int(vit.embed_dim * vit.size.mlp_ratio),
        image_size=_sides(source),
        patch_size=vit.patch_size,
        num_channels=vit.in_channels,
        layer_norm_eps=design.norm_eps,
        hidden_act='silu' if design.mlp == 'swiglu' else _TRANSFORMERS_ACTIVATIONS[design.mlp],
    )
    if classes and pool == 'avg':
        raise UserError(
            f"{who}: transformers' ViTForImageClassification takes the class token, this classifier averages the "
            "patches (it has an fc_norm): choose format='timm' or 'onnx'"
        )
    if not _has_final_norm(vit):
        raise UserError(
            f"{who}: its ViT has no final norm, as it was fine-tuned without one; transformers' ViTs have one: choose "
            "format='timm' or 'onnx'"
        )
    if design.rotary == 'eva02' or (not design.absolute_positions and not (vit.rel_pos or design.rotary)):
        what = "rotary='eva02'" if design.rotary else 'no positions'
        raise UserError(f"{who}: transformers has no ViT with {what}: choose format='timm' or 'onnx'")
    if vit.rel_pos == 'table':
        settings |= dict(use_relative_position_bias=True, use_mean_pooling=False, layer_scale_init_value=1.0)
        settings |= dict(use_absolute_position_embeddings=design.absolute_positions)
        return PeerModel('hf_beit', 'BeitModel', settings)
    if design.rotary == 'dinov3':
        settings |= dict(num_register_tokens=design.registers, use_gated_mlp=design.mlp == 'swiglu')
        return PeerModel('hf_dinov3', 'DINOv3ViTModel', settings)
    if design.pre_norm:
        return PeerModel('hf_clip', 'CLIPVisionModel', settings)
    if not vit.num_prefix:
        return PeerModel('hf_siglip', 'SiglipVisionModel', settings | dict(vision_use_head=False))
    if not classes and (design.layer_scale or design.registers or design.mlp == 'swiglu'):
        return _dinov2(vit, settings)
    if classes:
        labels = source.classes or [f'LABEL_{number}' for number in range(classes)]
        settings['id2label'] = dict(enumerate(labels))
        settings['label2id'] = {label: number for number, label in enumerate(labels)}
        return PeerModel('hf', 'ViTForImageClassification', settings)
    return _mae(source.pretraining, settings) or PeerModel('hf', 'ViTModel', settings)


def _dinov2(vit: ViT, settings: dict[str, Any]) -> PeerModel:
    gated, registers = vit.design.mlp == 'swiglu', vit.design.registers
    hidden = settings.pop('intermediate_size')
    # transformers makes 2/3 of it, as a multiple of 8, the width of a gated MLP.
    ratio = hidden * 1.5 / vit.embed_dim if gated else vit.size.mlp_ratio
    settings |= dict(mlp_ratio=int(ratio) if ratio == int(ratio) else ratio, use_swiglu_ffn=gated)
    settings['hidden_act'] = 'gelu' if gated else settings['hidden_act']
    if not registers:
        return PeerModel('hf_dinov2', 'Dinov2Model', settings)
    return PeerModel('hf_dinov2', 'Dinov2WithRegistersModel', settings | dict(num_register_tokens=registers))


def _mae(pretraining: Any, settings: dict[str, Any]) -> PeerModel | None:
    """ViTMAE with its decoder, for a pre-training that transformers has: of pixels, by the plain decoder, from patches
    that random masking leaves."""
    if not isinstance(pretraining, MAE):
        return None
    decoder, target = pretraining.decoder, pretraining.target
    if type(decoder) is not MAEDecoder or decoder.mask_token is None or pretraining.vit.in_channels != 3:
        return None
    if type(target) not in (PixelTarget, NormalizedPixelTarget) or type(pretraining.masking) is not RandomMasking:
        return None
    block: Any = decoder.blocks[0]
    settings = settings | dict(
        decoder_hidden_size=decoder.embed.out_features,
        decoder_num_hidden_layers=len(decoder.blocks),
        decoder_num_attention_heads=block.attn.num_heads,
        decoder_intermediate_size=block.mlp.fc1.out_features,
        mask_ratio=pretraining.masking.ratio,
        norm_pix_loss=type(target) is NormalizedPixelTarget,
    )
    return PeerModel('hf', 'ViTMAEForPreTraining', settings, with_decoder=True)


def _head(source: Source, project: str) -> tuple[int, str]:
    """(classes, how the tokens become one vector) of what is exported."""
    model = source.model
    if isinstance(model, ViTClassifier) and model.num_classes:
        return model.num_classes, 'avg' if model.pooling == 'patch_mean' else 'token'
    if isinstance(model, (ViT, ViTClassifier)):
        return 0, 'token' if source.vit.num_prefix else ''
    raise UserError(
        f'{shown(source.name)}: {type(model).__name__} is not written for {project}, only ViTs and classifiers: its '
        "ViT alone is, by part='vit'"
    )


def _refuse_windows(vit: ViT, who: str, project: str) -> None:
    """Raise ``UserError`` for parts that neither project's ViTs have."""
    wrong = f'windows (window_size={vit.window_size})' if vit.window_size else None
    if vit.rel_pos not in (None, 'table'):
        wrong = f"rel_pos='{vit.rel_pos}'"
    if wrong:
        raise UserError(f"{who}: {project} has no ViT with {wrong}: choose format='onnx'")


def _has_final_norm(vit: ViT) -> bool:
    return any(True for _ in vit.norm.parameters())


def _sides(source: Source) -> int | list[int]:
    """The size that the ViT's positions are for: one number for a square."""
    height, width = (side * source.vit.patch_size for side in source.vit.grid)
    return height if height == width else [height, width]
