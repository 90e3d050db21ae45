"""Which design (:mod:`~mae_transfer.vit.design`) the weights of a ViT show, and whether a model has the same."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from torch import Tensor

from ...errors import CheckpointError
from ..design import DESIGNS, PLAIN, Design
from .peers import PEERS

#: The fields whose difference leaves no way to compute the same.
DECISIVE = ('registers', 'absolute_positions', 'pre_norm', 'qk_norm', 'attention_norm', 'mlp_norm', 'gated')


def design_of(encoder: Mapping[str, Tensor]) -> dict[str, Any]:
    """What the names and shapes of an encoder, or of a ViT's state dict, show of its design.

    Args:
        encoder: canonical names.

    Returns:
        The fields of :class:`~mae_transfer.vit.design.Design` that can be seen. ``layer_scale`` only says whether there
        is one, and ``gated``, which stands for ``mlp``, whether the MLP is 'swiglu'. Not seen, and not guessed: the
        activation of other MLPs, rotary positions, ``norm_eps``, and the number of heads.
    """
    in_blocks = {re.sub(r'^blocks\.\d+\.', '', name) for name in encoder if name.startswith('blocks.')}
    registers = encoder.get('reg_token')
    full, some = 'attn.qkv.bias' in in_blocks, 'attn.q_bias' in in_blocks
    return dict(
        registers=0 if registers is None else registers.shape[1],
        absolute_positions='pos_embed' in encoder,
        patch_bias='patch_embed.proj.bias' in encoder,
        pre_norm='norm_pre.weight' in encoder,
        qkv_bias='qkv' if full else 'qv' if some else '',
        qk_norm='attn.q_norm.weight' in in_blocks,
        attention_norm='attn.norm.weight' in in_blocks,
        gated='mlp.fc1_g.weight' in in_blocks,
        mlp_norm='mlp.norm.weight' in in_blocks,
        layer_scale='ls1.gamma' in in_blocks,
    )


def check_design(
    encoder: Mapping[str, Tensor], layout: str, target: Mapping[str, Tensor], design: Design | None
) -> None:
    """Raise ``CheckpointError`` where a checkpoint and a model differ in what cannot be bridged
    (:mod:`~mae_transfer.vit.weights.bridges`); the message names each difference and the design that would be right.

    Args:
        encoder, layout: of the checkpoint.
        target: the model's state dict.
        design: the model's; None for a model of timm's, of whose rotary positions nothing is known.
    """
    found, wanted = design_of(encoder), design_of(target)
    differences = {name: found[name] for name in DECISIVE if found[name] != wanted[name]}
    if 'cls_token' not in target and not wanted['registers']:
        differences.pop('registers', None)  # left out, as the class token is (bridges.py)
    rotary = PEERS[layout].rotary if layout in PEERS else ()
    wrong_rotary = design is not None and rotary and design.rotary not in rotary
    if not differences and not wrong_rotary:
        return
    theirs, ours = ([_describe(name, shown[name]) for name in differences] for shown in (found, wanted))
    if wrong_rotary and design is not None:
        theirs.append(f'rotary={rotary[0]!r} (all of layout {layout})')
        ours.append(f'rotary={design.rotary!r}')
    fixed = layout in PEERS and PEERS[layout].design is not None
    init = '' if fixed else 'set the init of these weights, or '  # which sets what no name shows, too
    raise CheckpointError(
        f'the checkpoint has {", ".join(theirs)}; the model {", ".join(ours)}: {init}choose '
        f'design={_advice(found, layout, design or PLAIN, rotary)}'
    )


def check_distillation(encoder: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> None:
    """Raise if the checkpoint has a token for distillation that the model lacks."""
    if 'dist_token' in encoder and 'dist_token' not in target:
        raise CheckpointError(
            "the checkpoint has a distillation token ('dist_token', of a distilled DeiT), which this ViT has no place "
            'for: take the weights of the same DeiT without distillation'
        )


def _describe(name: str, value: Any) -> str:
    """A field of a design in words."""
    words = dict(
        absolute_positions='absolute positions',
        pre_norm='a norm before the first block',
        qk_norm='norms of queries and keys',
        attention_norm='a norm in attention',
        mlp_norm='a norm in the MLP',
        gated='a gated MLP',
    )
    if name == 'registers':
        return f'{value or "no"} register{"s" * (value != 1)}'
    return words[name] if value else f'no {words[name].removeprefix("a ")}'


def _advice(found: Mapping[str, Any], layout: str, design: Design, rotary: tuple[str | None, ...]) -> str:
    """The setting ``design`` that gives a model what ``found`` shows: the layout's, or the model's, with changes."""
    if all(found[name] == getattr(PLAIN, name, False) for name in DECISIVE) and layout not in PEERS:
        return repr('plain')
    like = PEERS[layout].design if layout in PEERS else None
    base = DESIGNS[like] if like else design
    changes: dict[str, Any] = {name: found[name] for name in DECISIVE if name != 'gated'}
    if found['gated'] != (base.mlp == 'swiglu'):
        changes['mlp'] = 'swiglu' if found['gated'] else 'gelu'
    if rotary and base.rotary not in rotary:
        changes['rotary'] = rotary[0]
    wanted = asdict(replace(base, **changes))
    known = asdict(DESIGNS[like] if like else PLAIN)
    changed = ', '.join(f'{name}={value!r}' for name, value in wanted.items() if value != known[name])
    if not like:
        return f'dict({changed})' if changed else "'plain'"
    return f'dict(like={like!r}, {changed})' if changed else repr(like)
