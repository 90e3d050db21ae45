"""The table of layouts: how each library names the weights of a ViT, of an MAE and of a classifier.

Sources of the names: official code ``models_mae.py`` and ``models_vit.py``; timm ``vision_transformer.py``; mmpretrain
``backbones/vision_transformer.py`` and ``necks/mae_neck.py``; transformers ``models/vit_mae`` and its
``conversion_mapping.py``.
"""

from __future__ import annotations

from dataclasses import dataclass

from .merged_weights import QKV
from .names import Names


@dataclass(frozen=True)
class Layout:
    """The names of one project.

    Args:
        encoder, decoder, head: its names of each part. A layout that lacks a part cannot store it.
        also: other prefixes that its encoder has in files; '' for one without any.
        marks: what the names of a file have to have, below the prefix of the whole model, to be of this layout rather
            than of a later one in the table: a regular expression, which some name matches.
        spellings: names of other versions of the project, as regular expressions, and what they are here.
    """

    encoder: Names
    decoder: Names | None = None
    head: Names | None = None
    also: tuple[str, ...] = ()
    marks: str = ''
    spellings: tuple[tuple[str, str], ...] = ()

    @property
    def parts(self) -> dict[str, Names]:
        """The names of each part. A name belongs to the first part that matches, so that an encoder without prefix
        gets all remaining ones."""
        parts = dict(head=self.head, decoder=self.decoder, encoder=self.encoder)
        return {part: names for part, names in parts.items() if names is not None}


_DECODER = {name: f'decoder_{name}' for name in ('pos_embed', 'embed', 'norm', 'pred')} | {'mask_token': 'mask_token'}
_HEAD = {name: name for name in ('head', 'fc_norm', 'head_norm')}
_MMPRETRAIN_BLOCK = {'norm1': 'ln1', 'norm2': 'ln2', 'mlp.fc1': 'ffn.layers.0.0', 'mlp.fc2': 'ffn.layers.1'}
_HF_BLOCK = {
    'norm1': 'layernorm_before',
    'norm2': 'layernorm_after',
    'attn.proj': 'attention.output.dense',
    'mlp.fc1': 'intermediate.dense',
    'mlp.fc2': 'output.dense',
    **{f'attn.{part}': f'attention.attention.{part}' for part in QKV},
}

#: The files on the Hub have these names. Release 5 of transformers renamed the modules in memory
#: (``layers.0.attention.q_proj``); the files it writes have the old names for the encoder, but
#: ``decoder.decoder_encoder.layer.0`` for the decoder.
_HF_SPELLINGS = (
    (r'^vit\.layers\.', 'vit.encoder.layer.'),
    (r'^decoder\.decoder_encoder\.layer\.', 'decoder.decoder_layers.'),
    *((rf'\.attention\.{part[0]}_proj\.', f'.attention.attention.{part}.') for part in QKV),
    *((rf'(?<!\.attention)\.attention\.{part}\.', f'.attention.attention.{part}.') for part in QKV),
    (r'\.attention\.o_proj\.', '.attention.output.dense.'),
    (r'\.mlp\.fc1\.', '.intermediate.dense.'),
    (r'\.mlp\.fc2\.', '.output.dense.'),
)

#: All layouts, each to be read and written; the first that a file matches is taken.
LAYOUTS: dict[str, Layout] = {
    'mae_transfer': Layout(
        Names('vit.', {}, 'blocks'),
        Names('decoder.', {}, 'blocks'),
        Names('', _HEAD),
        also=('backbone.',),  # in our detectors and segmentors
    ),
    'official': Layout(
        Names('', {}, 'blocks'), Names('', _DECODER, 'decoder_blocks'), Names('', _HEAD), marks=r'decoder_'
    ),
    'timm': Layout(Names('', {}, 'blocks'), head=Names('', _HEAD)),
    'mmpretrain': Layout(
        Names('backbone.', {'patch_embed.proj': 'patch_embed.projection', 'norm': 'ln1'}, 'layers', _MMPRETRAIN_BLOCK),
        Names('neck.', {**_DECODER, 'norm': 'ln1'}, 'decoder_blocks', _MMPRETRAIN_BLOCK),
        # The norm after average pooling, fc_norm elsewhere, is ln2 of the backbone in mmpretrain; a linear probe's is
        # its ClsBatchNormNeck.
        Names('', {'head': 'head.layers.head', 'fc_norm': 'backbone.ln2', 'head_norm': 'neck.bn'}),
        also=('',),
    ),
    'hf': Layout(
        Names(
            'vit.',
            {
                'cls_token': 'embeddings.cls_token',
                'dist_token': 'embeddings.distillation_token',
                'pos_embed': 'embeddings.position_embeddings',
                'patch_embed.proj': 'embeddings.patch_embeddings.projection',
                'norm': 'layernorm',
            },
            'encoder.layer',
            _HF_BLOCK,
        ),
        Names('decoder.', _DECODER, 'decoder_layers', _HF_BLOCK),
        Names('', {'head': 'classifier'}),
        also=('',),  # a bare ViTMAEModel
        spellings=_HF_SPELLINGS,
    ),
}
