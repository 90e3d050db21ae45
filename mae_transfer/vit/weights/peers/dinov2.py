"""DINOv2, with and without registers.

Sources: official code ``dinov2/models/vision_transformer.py`` and ``layers/swiglu_ffn.py``; transformers
``models/dinov2`` and ``models/dinov2_with_registers``.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from torch import Tensor

from ..merged_weights import pack_swiglu, split_qkv, with_full_qkv_bias, with_layer_scale
from ..names import Names
from .peer import BLOCK, EMBEDDINGS, LAYER_SCALES, Peer
from .transformers_names import DENSE_ATTENTION, EMBEDDINGS_OF_HUB, IN_MEMORY


def _packed(encoder: Mapping[str, Tensor], first: str, last: str) -> dict[str, Tensor]:
    """The two halves of gated MLPs as one layer, and other names for their layers."""
    gated = {name.partition('fc1_g.')[0] for name in encoder if '.mlp.fc1_g.' in name}

    def renamed(name: str) -> str:
        mlp, _, rest = name.partition('fc')
        return f'{mlp}{first if rest[0] == "1" else last}{rest[1:]}' if mlp in gated else name

    return {renamed(name): value for name, value in pack_swiglu(encoder).items()}


#: ``blocks.1.7`` is block 7 in training code that keeps blocks in chunks.
OFFICIAL = Peer(
    landmarks=(r'register_tokens$|blocks\.\d+\.\d+\.|blocks\.\d+\.mlp\.w12\.',),
    encoder=Names(
        '',
        {**EMBEDDINGS, 'reg_token': 'register_tokens'},
        'blocks',
        {**BLOCK, **{name: name for name in (*LAYER_SCALES, 'mlp.w12', 'mlp.w3')}},
    ),
    spellings=((r'^blocks\.\d+\.(\d+\.)', r'blocks.\1'), (r'\.mlp\.w12\.', '.mlp.fc1.'), (r'\.mlp\.w3\.', '.mlp.fc2.')),
    outside=r'mask_token$',
    write=(with_full_qkv_bias, with_layer_scale, partial(_packed, first='w12', last='w3')),
    rotary=(None,),
    design='dinov2',
)

HF = Peer(
    landmarks=(r'embeddings\.patch_embeddings\.projection\.', r'encoder\.layer\.\d+\.layer_scale1\.lambda1$'),
    encoder=Names(
        '',  # which both classes load
        {**EMBEDDINGS_OF_HUB, 'reg_token': 'embeddings.register_tokens'},
        'encoder.layer',
        {
            **{name: name for name in ('norm1', 'norm2', 'mlp.fc1', 'mlp.fc2', 'mlp.weights_in', 'mlp.weights_out')},
            **DENSE_ATTENTION,
            'ls1.gamma': 'layer_scale1.lambda1',
            'ls2.gamma': 'layer_scale2.lambda1',
        },
    ),
    prefixes=('dinov2.', 'dinov2_with_registers.', ''),
    spellings=(
        *IN_MEMORY,
        (r'\.mlp\.weights_in\.', '.mlp.fc1.'),
        (r'\.mlp\.weights_out\.', '.mlp.fc2.'),
        (r'\.mlp\.gate_proj\.', '.mlp.fc1_g.'),
        (r'\.mlp\.up_proj\.', '.mlp.fc1_x.'),
        (r'\.mlp\.down_proj\.', '.mlp.fc2.'),
    ),
    # Its head takes the class token together with the mean of the patches.
    outside=r'embeddings\.mask_token$|classifier\.',
    write=(with_full_qkv_bias, with_layer_scale, partial(_packed, first='weights_in', last='weights_out'), split_qkv),
    rotary=(None,),
    design='dinov2',
)
