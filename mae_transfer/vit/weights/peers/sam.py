"""The image encoder of SAM, without its neck: a ViT with windows, without class token and final norm (ViTDet's).

timm's has the names of its ViT (:mod:`~mae_transfer.vit.weights.peers.timm`). Sources: official code
``segment_anything/modeling/image_encoder.py``; transformers ``models/sam``.
"""

from __future__ import annotations

from ..merged_weights import fold_layer_scale, with_full_qkv_bias
from ..names import Names
from .peer import Peer
from .timm import SAM_BLOCK, SAM_EMBEDDINGS, rows_as_grid

OFFICIAL = Peer(
    landmarks=(r'neck\.0\.weight$', r'blocks\.\d+\.mlp\.lin1\.'),
    encoder=Names(
        'image_encoder.', SAM_EMBEDDINGS, 'blocks', {**SAM_BLOCK, 'mlp.fc1': 'mlp.lin1', 'mlp.fc2': 'mlp.lin2'}
    ),
    prefixes=('image_encoder.', ''),
    outside=r'neck\.',
    write=(fold_layer_scale, with_full_qkv_bias, rows_as_grid),
    rotary=(None,),
)

HF = Peer(
    landmarks=(r'neck\.conv1\.weight$', r'layers\.\d+\.mlp\.lin1\.'),
    encoder=Names(
        'vision_encoder.',
        {'pos_embed': 'pos_embed', 'patch_embed.proj': 'patch_embed.projection'},
        'layers',
        {**OFFICIAL.encoder.inside, 'norm1': 'layer_norm1', 'norm2': 'layer_norm2'},
    ),
    prefixes=('vision_encoder.', ''),
    outside=r'neck\.',
    write=(fold_layer_scale, with_full_qkv_bias, rows_as_grid),
    rotary=(None,),
)
