"""timm's BEiT, EVA and SAM, and the official BEiT, EVA and EVA-02, whose names timm kept.

Sources: timm ``beit.py``, ``eva.py``, ``vision_transformer_sam.py``; official code ``beit/modeling_finetune.py``,
``beit/modeling_pretrain.py``, ``EVA-02/asuka/modeling_pretrain.py``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from ....errors import CheckpointError
from ..merged_weights import (
    QKV,
    class_row_in_token,
    fold_layer_scale,
    pack_swiglu,
    split_qkv,
    with_full_qkv_bias,
    without_key_bias,
)
from ..names import Names
from .peer import BLOCK, EMBEDDINGS, Peer

_HEAD = Names('', {name: name for name in ('head', 'fc_norm')})
_SCALES = {'ls1.gamma': 'gamma_1', 'ls2.gamma': 'gamma_2'}
#: The mask token and head of masked pre-training, and EVA's rotary positions, which are computed.
_OUTSIDE = r'mask_token$|lm_head\.|(blocks\.\d+\.attn\.)?rope\b'


def _as_timm(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The parts that timm's EVA keeps apart: queries, keys and values where the MLP has a norm (EVA-02 B and L); both
    halves of a gated MLP there and in DINOv3."""
    if any(re.fullmatch(r'blocks\.\d+\.mlp\.norm\.weight', name) for name in weights):
        return split_qkv(weights)
    return dict(weights) if 'reg_token' in weights else pack_swiglu(weights)


def rows_as_grid(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Positions (1, N, D) as (1, H, W, D), SAM's form.

    Raises:
        CheckpointError: N is no square: the grid is not known.
    """
    changed = dict(weights)
    if 'pos_embed' in weights:
        count = weights['pos_embed'].shape[1]
        side = round(count**0.5)
        if side * side != count:
            raise CheckpointError(f'pos_embed of {count} patches is for no square grid, which SAM stores it as')
        changed['pos_embed'] = weights['pos_embed'].unflatten(1, (side, side))
    return changed


SAM_BLOCK = {**BLOCK, 'attn.rel_pos_h': 'attn.rel_pos_h', 'attn.rel_pos_w': 'attn.rel_pos_w'}
SAM_EMBEDDINGS = {name: name for name in ('pos_embed', 'patch_embed.proj')}

SAM = Peer(
    landmarks=(r'neck\.0\.weight$', r'blocks\.\d+\.attn\.rel_pos_h$'),
    encoder=Names('', SAM_EMBEDDINGS, 'blocks', SAM_BLOCK),
    outside=r'neck\.|head\.',
    write=(fold_layer_scale, with_full_qkv_bias, rows_as_grid),
    rotary=(None,),
)

#: What tells these names from those of timm's VisionTransformer.
_OWN = r'blocks\.\d+\.(gamma_1$|attn\.q_proj\.)'

EVA = Peer(
    landmarks=(_OWN,),
    encoder=Names(
        '',
        {**EMBEDDINGS, 'reg_token': 'reg_token', 'norm_pre': 'norm_pre'},
        'blocks',
        {
            **BLOCK,
            **{f'attn.{name}': f'attn.{name}' for name in ('q_bias', 'v_bias', 'q_norm', 'k_norm', 'norm')},
            **{f'attn.{name}': f'attn.{name[0]}_proj' for name in QKV},
            **{f'mlp.{name}': f'mlp.{name}' for name in ('norm', 'fc1_g', 'fc1_x')},
            **_SCALES,
        },
    ),
    head=_HEAD,
    spellings=(
        (r'\.attn\.inner_attn_ln\.', '.attn.norm.'),
        (r'\.mlp\.ffn_ln\.', '.mlp.norm.'),
        (r'\.mlp\.w12\.', '.mlp.fc1.'),
        (r'\.mlp\.w1\.', '.mlp.fc1_g.'),
        (r'\.mlp\.w2\.', '.mlp.fc1_x.'),
        (r'\.mlp\.w3\.', '.mlp.fc2.'),
    ),
    outside=_OUTSIDE,
    write=(without_key_bias, _as_timm),
)

BEIT = Peer(
    landmarks=(r'(rel_pos_bias|blocks\.\d+\.attn)\.relative_position_bias_table$', _OWN),
    encoder=Names(
        '',
        {**EMBEDDINGS, 'rel_pos_global': 'rel_pos_bias.relative_position_bias_table'},
        'blocks',
        {**EVA.encoder.inside, 'attn.relative_position_bias_table': 'attn.relative_position_bias_table'},
    ),
    head=_HEAD,
    outside=_OUTSIDE,
    write=(without_key_bias, _as_timm),
    rotary=(None,),
    design='beit',
)


def to_vision_transformer(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """An encoder as timm's VisionTransformer has it, whose names are ours.

    With registers there are no positions for class token and registers (timm's DINOv2 with registers), and a gated MLP
    has one first layer.
    """
    weights = pack_swiglu(weights)
    return class_row_in_token(weights) if 'reg_token' in weights else weights
