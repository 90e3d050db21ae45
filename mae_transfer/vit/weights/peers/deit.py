"""transformers' DeiT, whose models all have a distillation token; the official DeiT has the names of timm's ViT.

Source: transformers ``models/deit``.
"""

from __future__ import annotations

from ..names import Names
from .peer import Peer
from .transformers_names import DENSE_BLOCK, DENSE_IN_MEMORY, EMBEDDINGS_OF_HUB

HF = Peer(
    landmarks=(r'embeddings\.distillation_token$',),
    encoder=Names(
        'deit.', {**EMBEDDINGS_OF_HUB, 'dist_token': 'embeddings.distillation_token'}, 'encoder.layer', DENSE_BLOCK
    ),
    prefixes=('deit.', ''),
    spellings=DENSE_IN_MEMORY,
    outside=r'embeddings\.mask_token$|pooler\.|decoder\.|(cls_|distillation_)?classifier\.',
    rotary=(None,),
)
