"""The image towers of CLIP, in OpenAI's and open_clip's files and in transformers, and of transformers' SigLIP.

All that is not the image tower is left out, with the projection after it. Whether the MLPs' activation is 'quick_gelu'
(OpenAI) or 'gelu' (most of open_clip) no file says.

Sources: official code ``clip/model.py``; open_clip ``transformer.py``; transformers ``models/clip``, ``models/siglip``.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from ..merged_weights import fold_layer_scale, split_qkv, with_full_qkv_bias
from ..names import Names
from .peer import Peer


def _flat(encoder: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Class token (D) and positions (class + N, D), as CLIP stores them."""
    weights = dict(encoder)
    for name, dims in (('cls_token', (0, 1)), ('pos_embed', (0,))):
        if name in weights:
            weights[name] = weights[name].squeeze(dims)
    return weights


OPENAI = Peer(
    landmarks=(r'conv1\.weight$', r'class_embedding$', r'transformer\.resblocks\.\d+\.attn\.in_proj_weight$'),
    encoder=Names(
        'visual.',
        {
            'cls_token': 'class_embedding',
            'pos_embed': 'positional_embedding',
            'patch_embed.proj': 'conv1',
            'norm_pre': 'ln_pre',
            'norm': 'ln_post',
        },
        'transformer.resblocks',
        {
            'norm1': 'ln_1',
            'norm2': 'ln_2',
            'attn.qkv.weight': 'attn.in_proj_weight',
            'attn.qkv.bias': 'attn.in_proj_bias',
            'attn.proj': 'attn.out_proj',
            'mlp.fc1': 'mlp.c_fc',
            'mlp.fc2': 'mlp.c_proj',
            'ls1.gamma': 'ls_1.gamma',
            'ls2.gamma': 'ls_2.gamma',
        },
    ),
    prefixes=('visual.', ''),
    outside=r'proj$|attn_pool\.',
    write=(with_full_qkv_bias, _flat),
    rotary=(None,),
    design='clip',
)

_HF_BLOCK = {
    'norm1': 'layer_norm1',
    'norm2': 'layer_norm2',
    'attn.query': 'self_attn.q_proj',
    'attn.key': 'self_attn.k_proj',
    'attn.value': 'self_attn.v_proj',
    'attn.proj': 'self_attn.out_proj',
    'mlp.fc1': 'mlp.fc1',
    'mlp.fc2': 'mlp.fc2',
}

HF_CLIP = Peer(
    landmarks=(r'pre_layrnorm\.weight$', r'embeddings\.class_embedding$'),
    encoder=Names(
        'vision_model.',
        {
            'cls_token': 'embeddings.class_embedding',
            'pos_embed.weight': 'embeddings.position_embedding.weight',
            'patch_embed.proj': 'embeddings.patch_embedding',
            'norm_pre': 'pre_layrnorm',
            'norm': 'post_layernorm',
        },
        'encoder.layers',
        _HF_BLOCK,
    ),
    prefixes=('vision_model.', ''),
    outside=r'embeddings\.position_ids$|visual_projection\.|classifier\.',
    read=lambda encoder: _rename(encoder, 'pos_embed.weight', 'pos_embed'),
    write=(
        fold_layer_scale,
        with_full_qkv_bias,
        split_qkv,
        _flat,
        lambda encoder: _rename(encoder, 'pos_embed', 'pos_embed.weight'),
    ),
    rotary=(None,),
    design='clip',
)

HF_SIGLIP = Peer(
    landmarks=(r'embeddings\.position_embedding\.weight$', r'post_layernorm\.weight$'),
    encoder=Names(
        'vision_model.',
        {
            'pos_embed.weight': 'embeddings.position_embedding.weight',
            'patch_embed.proj': 'embeddings.patch_embedding',
            'norm': 'post_layernorm',
        },
        'encoder.layers',
        _HF_BLOCK,
    ),
    prefixes=('vision_model.', ''),
    outside=r'embeddings\.position_ids$|head\.|classifier\.',  # the head is attention of a query over all patches
    read=HF_CLIP.read,
    write=HF_CLIP.write,
    rotary=(None,),
    design='siglip',
)


def _rename(encoder: Mapping[str, Tensor], old: str, new: str) -> dict[str, Tensor]:
    return {new if name == old else name: value for name, value in encoder.items()}
