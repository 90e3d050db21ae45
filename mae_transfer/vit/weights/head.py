"""The classification head of a checkpoint: how one layout's becomes another's and stays the same classifier.

Names are canonical: ``head``, the linear layer; ``fc_norm``, the LayerNorm after average pooling, which a head on the
class token does not have; ``head_norm``, the BatchNorm without affine parameters before the head of a linear probe.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ...errors import CheckpointError
from .peers import PEERS

#: Added to the variance by a linear probe's batch norm (MAE's official ``main_linprobe.py``).
HEAD_NORM_EPS = 1e-6
_NORM = 'head_norm.'


def has_head_norm(head: Mapping[str, Tensor]) -> bool:
    """Whether a batch norm precedes the head, as in a linear probe."""
    return any(name.startswith(_NORM) for name in head)


def fold_head_norm(head: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Multiply the statistics of ``head_norm`` into the linear layer after it: the same classifier without a norm.

    A head without ``head_norm`` stays as it is; a norm without a head, which nothing follows, is left out.

    Raises:
        CheckpointError: parts of the norm or the head are missing.
    """
    folded = {name: value for name, value in head.items() if not name.startswith(_NORM)}
    if len(folded) == len(head) or 'head.weight' not in head:
        return folded
    needed = ('head.weight', 'head.bias', f'{_NORM}running_mean', f'{_NORM}running_var')
    if missing := [name for name in needed if name not in head]:
        raise CheckpointError(f"the head follows a batch norm, but '{missing[0]}' is not there")
    weight, bias = head['head.weight'], head['head.bias']
    scale = (head[f'{_NORM}running_var'].double() + HEAD_NORM_EPS).rsqrt()
    shift = -scale * head[f'{_NORM}running_mean'].double()
    if f'{_NORM}weight' in head:  # ours and MAE's have none
        gain = head[f'{_NORM}weight'].double()
        scale, shift = scale * gain, shift * gain + head.get(f'{_NORM}bias', torch.zeros(())).double()
    folded['head.weight'] = (weight.double() * scale).to(weight.dtype)
    folded['head.bias'] = (bias.double() + weight.double() @ shift).to(bias.dtype)
    return folded


def why_no_head(head: Mapping[str, Tensor], layout: str) -> str | None:
    """Why the models of a layout would make another classifier of a head; None if they do not."""
    if layout == 'hf' and any(name.startswith('fc_norm.') for name in head):
        return (
            "transformers' ViTForImageClassification takes the class token, this classifier averages the patches "
            '(it has an fc_norm)'
        )
    if head and layout in PEERS and PEERS[layout].head is None:
        return 'its models have none like this one'
    return None
