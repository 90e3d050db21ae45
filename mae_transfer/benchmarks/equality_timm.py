"""timm's ViTs, each with the design of ours that computes the same (:mod:`~mae_transfer.benchmarks.equality`)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from timm.layers import GELUTanh, QuickGELU, SwiGLUPacked
from timm.models.beit import Beit
from timm.models.eva import Eva
from timm.models.vision_transformer import VisionTransformer
from timm.models.vision_transformer_sam import VisionTransformerSAM
from torch import Tensor, nn

from .equality import DEPTH, HEADS, PATCH, WIDTH, Start

_EPS6, _EPS5 = partial(nn.LayerNorm, eps=1e-6), partial(nn.LayerNorm, eps=1e-5)


def _tokens(model: Any, images: Tensor) -> Tensor:
    """Class token and patches of a ViT of timm's, after the final norm, without registers."""
    tokens = model.forward_features(images)
    num_class = int(model.cls_token is not None)
    return tokens[:, [*range(num_class), *range(model.num_prefix_tokens, tokens.shape[1])]]


def _sam_tokens(model: Any, images: Tensor) -> Tensor:
    """The patches that SAM's ViT gives to its neck."""
    x = model.patch_embed(images)
    return model.blocks(x + model.pos_embed).flatten(1, 2)


def _build(cls: Callable[..., nn.Module], **settings: Any) -> Callable[[tuple[int, int]], nn.Module]:
    def build(size: tuple[int, int]) -> nn.Module:
        return cls(img_size=size, patch_size=PATCH, embed_dim=WIDTH, depth=DEPTH, num_heads=HEADS, **settings)

    return build


def _start(name: str, cls: Any, settings: dict[str, Any], layout: str, design: Any = None, **more: Any) -> Start:
    vit = dict(design=design, **more.pop('vit', {}))
    build, source = _build(cls, **{'num_classes': 0, **settings}), f'timm {cls.__name__}'
    return Start(name, source, build, _tokens, layout, vit, **more)


_VIT: dict[str, Any] = dict(global_pool='token')
_BEIT: dict[str, Any] = dict(use_abs_pos_emb=False, init_values=0.1, use_fc_norm=False, norm_layer=_EPS6)
_EVA02: dict[str, Any] = dict(
    use_rot_pos_emb=True, ref_feat_shape=(4, 4), use_fc_norm=False, swiglu_mlp=True, mlp_ratio=2.5, norm_layer=_EPS6
)
_DINOV3: dict[str, Any] = dict(
    num_reg_tokens=4,
    use_abs_pos_emb=False,
    use_rot_pos_emb=True,
    rope_type='dinov3',
    rope_temperature=100,
    rope_rotate_half=True,
    init_values=1e-5,
    use_fc_norm=False,
    norm_layer=_EPS5,
    global_pool='avg',
)

#: (height, width) that EVA-02's rotary positions count in, as in ``ref_feat_shape``.
_ROTARY = dict(rotary_img_size=4 * PATCH)

TIMM_STARTS = [
    _start('ViT: DeiT, AugReg, MoCo v3', VisionTransformer, _VIT, 'timm'),
    _start('DeiT III', VisionTransformer, dict(_VIT, init_values=1e-6, no_embed_class=True), 'timm', 'deit3'),
    _start('DINOv2', VisionTransformer, dict(_VIT, init_values=1e-5), 'timm', 'dinov2'),
    _start(
        'DINOv2 giant',
        VisionTransformer,
        dict(_VIT, init_values=1e-5, mlp_layer=SwiGLUPacked, act_layer=nn.SiLU, mlp_ratio=5.0),
        'timm',
        dict(like='dinov2', mlp='swiglu'),
        mlp_ratio=2.5,
    ),
    _start(
        'DINOv2 with registers',
        VisionTransformer,
        dict(_VIT, init_values=1e-5, reg_tokens=4, no_embed_class=True),
        'timm',
        dict(like='dinov2', registers=4),
    ),
    _start(
        'CLIP',
        VisionTransformer,
        dict(_VIT, pre_norm=True, act_layer=QuickGELU, norm_layer=_EPS5, num_classes=16),
        'timm',
        'clip',
    ),
    _start(
        'SigLIP',
        VisionTransformer,
        dict(class_token=False, global_pool='map', act_layer=GELUTanh),
        'timm',
        'siglip',
        vit=dict(class_token=False),
    ),
    _start(
        'ViT with norms of queries, keys and hidden layers',
        VisionTransformer,
        dict(_VIT, qk_norm=True, scale_attn_norm=True, scale_mlp_norm=True),
        'timm',
        dict(qk_norm=True, attention_norm=True, mlp_norm=True),
    ),
    _start('BEiT, BEiT v2', Beit, dict(_BEIT, use_rel_pos_bias=True), 'timm_beit', 'beit', vit=dict(rel_pos='table')),
    _start(
        'BEiT, one table',
        Beit,
        dict(_BEIT, use_shared_rel_pos_bias=True),
        'timm_beit',
        'beit',
        vit=dict(rel_pos='shared'),
    ),
    _start('EVA', Eva, dict(use_fc_norm=False, norm_layer=_EPS6), 'timm', dict(qkv_bias='qv'), back='timm_eva'),
    _start(
        'EVA-02, B',
        Eva,
        dict(_EVA02, qkv_fused=False, scale_mlp=True),
        'timm_eva',
        dict(like='eva02', mlp_norm=True),
        mlp_ratio=2.5,
        vit=_ROTARY,
    ),
    _start('EVA-02, Ti', Eva, _EVA02, 'timm', 'eva02', mlp_ratio=2.5, vit=_ROTARY, back='timm_eva'),
    _start(
        'EVA-02 with all norms',
        Eva,
        dict(_EVA02, qkv_fused=False, scale_mlp=True, scale_attn_inner=True, qk_norm=True),
        'timm_eva',
        dict(like='eva02', mlp_norm=True, attention_norm=True, qk_norm=True),
        mlp_ratio=2.5,
        vit=_ROTARY,
    ),
    _start('DINOv3', Eva, _DINOV3, 'timm_eva', 'dinov3'),
    _start('DINOv3 without biases', Eva, dict(_DINOV3, qkv_bias=False), 'timm_eva', dict(like='dinov3', qkv_bias='')),
    _start(
        'DINOv3, 7B',
        Eva,
        dict(_DINOV3, swiglu_mlp=True, swiglu_align_to=8, mlp_ratio=2.5),
        'timm_eva',
        dict(like='dinov3', mlp='swiglu'),
        mlp_ratio=2.5,
    ),
    Start(
        'SAM',
        'timm VisionTransformerSAM',
        _build(VisionTransformerSAM, use_rel_pos=True, window_size=3, global_attn_indexes=(1,), norm_layer=_EPS6),
        _sam_tokens,
        'timm_sam',
        dict(class_token=False, final_norm=False, window_size=3, global_blocks=(1,), rel_pos='decomposed'),
    ),
]
