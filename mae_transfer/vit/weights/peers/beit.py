"""transformers' BEiT and Data2Vec's vision model, which is the same.

Source: transformers ``models/beit`` and ``models/data2vec``. The official BEiT has timm's names
(:mod:`~mae_transfer.vit.weights.peers.timm`).
"""

from __future__ import annotations

from ..merged_weights import split_qkv, without_key_bias
from ..names import Names
from .peer import Peer
from .transformers_names import DENSE_BLOCK, DENSE_IN_MEMORY, EMBEDDINGS_OF_HUB

_TABLE = 'relative_position_bias.relative_position_bias_table'

HF = Peer(
    landmarks=(r'embeddings\.patch_embeddings\.projection\.', r'(encoder\.layer|layers)\.\d+\.lambda_1$'),
    encoder=Names(
        'beit.',
        {**EMBEDDINGS_OF_HUB, 'rel_pos_global': f'encoder.{_TABLE}'},
        'encoder.layer',
        {
            **DENSE_BLOCK,
            'ls1.gamma': 'lambda_1',
            'ls2.gamma': 'lambda_2',
            'attn.relative_position_bias_table': f'attention.attention.{_TABLE}',
        },
    ),
    # The norm after average pooling is part of the pooler.
    head=Names('', {'head': 'classifier', 'fc_norm': 'beit.pooler.layernorm'}),
    prefixes=('beit.', 'data2vec_vision.', ''),
    spellings=(
        *DENSE_IN_MEMORY,
        (r'^shared_position_bias\.', 'encoder.relative_position_bias.'),
        (r'^(encoder\.layer\.\d+)\.relative_position_bias\.', r'\1.attention.attention.relative_position_bias.'),
    ),
    outside=r'embeddings\.mask_token$|lm_head\.',
    before_prefix=('layernorm.',),  # of the model for masked pre-training
    write=(without_key_bias, split_qkv),
    rotary=(None,),
    design='beit',
)
