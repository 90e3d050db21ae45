"""timm's BEiT, EVA and SAM, and the official BEiT, EVA and EVA-02, whose names timm kept.

Sources: timm ``beit.py``, ``eva.py``, ``vision_transformer_sam.py``; official code ``beit/modeling_finetune.py``,
``beit/modeling_pretrain.py``, ``EVA-02/asuka/modeling_pretrain.py``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from ....errors import CheckpointError
from ..merged_weights import class_row_in_token, pack_swiglu, without_key_bias
from ..names import Names
from .peer import BLOCK, EMBEDDINGS, Peer

_HEAD = Names('', {name: name for name in ('head', 'fc_norm')})
_BIASES = {f'attn.{name}': f'attn.{name}' for name in ('q_bias', 'v_bias')}
_SCALES = {'ls1.gamma': 'gamma_1', 'ls2.gamma': 'gamma_2'}
_EMBEDDINGS = {**EMBEDDINGS, 'rel_pos_global': 'rel_pos_bias.relative_position_bias_table'}
#: The mask token and head of masked pre-training, and EVA's rotary positions, which are computed.
_OUTSIDE = r'mask_token$|lm_head\.|(blocks\.\d+\.attn\.)?rope\b'


def _pack_without_norm(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """As timm's EVA: both halves of a gated MLP are one layer, unless its hidden layer passes through a norm."""
    has_norm = any(re.fullmatch(r'blocks\.\d+\.mlp\.norm\.weight', name) for name in weights)
    return dict(weights) if has_norm else pack_swiglu(weights)


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

TIMM_SAM = Peer(
    landmarks=(r'neck\.0\.weight$', r'blocks\.\d+\.attn\.rel_pos_h$'),
    encoder=Names('', SAM_EMBEDDINGS, 'blocks', SAM_BLOCK),
    outside=r'neck\.|head\.',
    write=(rows_as_grid,),
    rotary=(None,),
)

_EVA_BLOCK = {
    **BLOCK,
    **_BIASES,
    **_SCALES,
    **{f'attn.{name}': f'attn.{name}' for name in ('q_norm', 'k_norm', 'norm')},
    **{f'mlp.{name}': f'mlp.{name}' for name in ('norm', 'fc1_g', 'fc1_x')},
}

#: Queries, keys and values are fused in the files we write (timm's ``qkv_fused``), and may be apart in those we read.
TIMM_EVA = Peer(
    landmarks=(
        r'blocks\.\d+\.(attn\.q_proj\.|attn\.inner_attn_ln\.|mlp\.w\d+\.)|'
        r'(blocks\.\d+\.attn\.)?rope\.freqs|blocks\.\d+\.mlp\.fc1_g\.',
        r'blocks\.\d+\.attn\.(q_bias|q_proj\.weight)$',
    ),
    encoder=Names('', {**_EMBEDDINGS, 'reg_token': 'reg_token', 'norm_pre': 'norm_pre'}, 'blocks', _EVA_BLOCK),
    head=_HEAD,
    spellings=(
        (r'\.attn\.q_proj\.', '.attn.query.'),
        (r'\.attn\.k_proj\.', '.attn.key.'),
        (r'\.attn\.v_proj\.', '.attn.value.'),
        (r'\.attn\.inner_attn_ln\.', '.attn.norm.'),
        (r'\.mlp\.ffn_ln\.', '.mlp.norm.'),
        (r'\.mlp\.w12\.', '.mlp.fc1.'),
        (r'\.mlp\.w1\.', '.mlp.fc1_g.'),
        (r'\.mlp\.w2\.', '.mlp.fc1_x.'),
        (r'\.mlp\.w3\.', '.mlp.fc2.'),
    ),
    outside=_OUTSIDE,
    write=(without_key_bias, _pack_without_norm),
)

TIMM_BEIT = Peer(
    landmarks=(r'blocks\.\d+\.(gamma_1|attn\.q_bias)$|rel_pos_bias\.relative_position_bias_table$',),
    encoder=Names(
        '',
        {**_EMBEDDINGS, 'reg_token': 'reg_token', 'norm_pre': 'norm_pre'},
        'blocks',
        {**_EVA_BLOCK, 'attn.relative_position_bias_table': 'attn.relative_position_bias_table'},
    ),
    head=_HEAD,
    spellings=TIMM_EVA.spellings,
    outside=_OUTSIDE,
    write=(without_key_bias, _pack_without_norm),
)


def to_vision_transformer(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """An encoder as timm's VisionTransformer has it, whose names are ours.

    With registers there are no positions for class token and registers (timm's DINOv2 with registers), and a gated MLP
    has one first layer.
    """
    weights = pack_swiglu(weights)
    return class_row_in_token(weights) if 'reg_token' in weights else weights
