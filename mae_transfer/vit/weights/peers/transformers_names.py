"""The names that several of transformers' models share."""

from __future__ import annotations

from ..merged_weights import QKV

EMBEDDINGS_OF_HUB = {
    'cls_token': 'embeddings.cls_token',
    'pos_embed': 'embeddings.position_embeddings',
    'patch_embed.proj': 'embeddings.patch_embeddings.projection',
    'norm': 'layernorm',
}

DENSE_ATTENTION = {
    'attn.proj': 'attention.output.dense',
    **{f'attn.{part}': f'attention.attention.{part}' for part in QKV},
}

#: The blocks of ViT, DeiT and BEiT.
DENSE_BLOCK = {
    'norm1': 'layernorm_before',
    'norm2': 'layernorm_after',
    **DENSE_ATTENTION,
    'mlp.fc1': 'intermediate.dense',
    'mlp.fc2': 'output.dense',
}

#: Release 5 renamed modules in memory; the files it writes have the names of the Hub.
IN_MEMORY = (
    (r'^layers\.', 'encoder.layer.'),
    (r'\.attention\.q_proj\.', '.attention.attention.query.'),
    (r'\.attention\.k_proj\.', '.attention.attention.key.'),
    (r'\.attention\.v_proj\.', '.attention.attention.value.'),
    (r'\.attention\.o_proj\.', '.attention.output.dense.'),
)
DENSE_IN_MEMORY = (*IN_MEMORY, (r'\.mlp\.fc1\.', '.intermediate.dense.'), (r'\.mlp\.fc2\.', '.output.dense.'))
