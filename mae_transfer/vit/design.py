"""What a ViT has beside its size: the parts that later models added to the plain one, each an option."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any

from timm.layers import GELUTanh, LayerScale, Mlp, QuickGELU, SwiGLU
from torch import nn

from ..errors import UserError

LAYER_NORM_EPS = 1e-6  # as in MAE; PyTorch's default of 1e-5 costs accuracy with MAE's weights

ACTIVATIONS = dict(gelu=nn.GELU, gelu_tanh=GELUTanh, quick_gelu=QuickGELU)
MLPS = (*ACTIVATIONS, 'swiglu')
ROTARY_KINDS = ('eva02', 'dinov3')
QKV_BIASES = ('qkv', 'qv', '')


@dataclass(frozen=True)
class Design:
    """The parts of a ViT. The defaults are the plain ViT of the paper and of MAE.

    Args:
        registers: number of register tokens, which take part in attention and are then left out (Darcet et al. 2023).
        absolute_positions: whether a table of positions is added to the patches.
        rotary: rotary positions in attention: None, or one of :data:`~mae_transfer.vit.design.ROTARY_KINDS`
            (:mod:`~mae_transfer.vit.rotary`).
        patch_bias: whether the patch embedding has a bias; CLIP's has none.
        pre_norm: whether the tokens pass through a LayerNorm before the first block (CLIP).
        norm_eps: epsilon of all LayerNorms.
        qkv_bias: which of queries, keys and values have a bias: 'qkv'; 'qv' (BEiT, EVA-02, DINOv3); '' for none.
        qk_norm: whether queries and keys pass through a LayerNorm in each head (ViT-22B).
        attention_norm: whether attended values pass through a LayerNorm before the last layer of attention (sub-LN).
        mlp: activation of the MLP: 'gelu', 'gelu_tanh', 'quick_gelu' (CLIP), or 'swiglu' for a gated one.
        mlp_norm: whether the hidden layer of the MLP passes through a LayerNorm (sub-LN, EVA-02).
        layer_scale: initial factor of each channel of what a block adds (CaiT); None for no such factors.
    """

    registers: int = 0
    absolute_positions: bool = True
    rotary: str | None = None
    patch_bias: bool = True
    pre_norm: bool = False
    norm_eps: float = LAYER_NORM_EPS
    qkv_bias: str = 'qkv'
    qk_norm: bool = False
    attention_norm: bool = False
    mlp: str = 'gelu'
    mlp_norm: bool = False
    layer_scale: float | None = None

    def __post_init__(self) -> None:
        for name, known in dict(mlp=MLPS, qkv_bias=QKV_BIASES, rotary=(None, *ROTARY_KINDS)).items():
            if getattr(self, name) not in known:
                raise UserError(
                    f'{name}={getattr(self, name)!r} is no design of a ViT: choose one of {", ".join(map(repr, known))}'
                )
        if not isinstance(self.registers, int) or self.registers < 0:
            raise UserError(f'registers must be a number of tokens; found {self.registers!r}')

    def norm(self, dim: int) -> nn.LayerNorm:
        """A LayerNorm over ``dim`` channels."""
        return nn.LayerNorm(dim, eps=self.norm_eps)

    def make_mlp(self, dim: int, hidden: int) -> nn.Module:
        """The MLP of a block: (..., ``dim``) to (..., ``dim``); parameter names are timm's."""
        norm: Any = partial(nn.LayerNorm, eps=self.norm_eps) if self.mlp_norm else None
        if self.mlp == 'swiglu':
            return SwiGLU(dim, hidden, norm_layer=norm)
        return Mlp(dim, hidden, act_layer=ACTIVATIONS[self.mlp], norm_layer=norm)

    def make_layer_scale(self, dim: int) -> nn.Module:
        """The factors of what a block adds; nothing without ``layer_scale``."""
        return nn.Identity() if self.layer_scale is None else LayerScale(dim, self.layer_scale)


#: The ViT of the paper and of MAE.
PLAIN = Design()

#: The designs of published models. Sources: BEiT, arXiv 2106.08254, and v2, 2208.06366 (official ``modeling_*.py``);
#: DeiT III, 2204.07118; EVA-02, 2303.11331; DINOv2, 2304.07193, with registers 2309.16588; DINOv3, 2508.10104; CLIP,
#: 2103.00020; SigLIP, 2303.15343. Layer scale starts at .1 in BEiT-B, and 1e-5 in BEiT-L, DINOv2 and DINOv3.
DESIGNS = {
    'plain': PLAIN,
    'deit3': Design(layer_scale=1e-6),
    'beit': Design(absolute_positions=False, qkv_bias='qv', layer_scale=0.1),
    'eva02': Design(rotary='eva02', qkv_bias='qv', mlp='swiglu'),
    'dinov2': Design(layer_scale=1e-5),
    'dinov3': Design(
        registers=4, absolute_positions=False, rotary='dinov3', norm_eps=1e-5, qkv_bias='qv', layer_scale=1e-5
    ),
    'clip': Design(patch_bias=False, pre_norm=True, norm_eps=1e-5, mlp='quick_gelu'),
    'siglip': Design(mlp='gelu_tanh'),
}


def resolve_design(design: str | dict | Design | None) -> Design:
    """The :class:`Design` that a setting describes.

    Args:
        design: a name of :data:`DESIGNS`; a dictionary of the fields of :class:`Design`, in which ``like`` may name the
            design that the others are of; None for the plain one.

    Raises:
        UserError: an unknown name or field; a value that is no design.
    """
    if isinstance(design, Design):
        return design
    settings = dict(like=design or 'plain') if design is None or isinstance(design, str) else dict(design)
    like = settings.pop('like', 'plain')
    if like not in DESIGNS:
        raise UserError(f"unknown design '{like}': choose one of {', '.join(DESIGNS)}, or a dict of its fields")
    known = [field.name for field in fields(Design)]
    if unknown := sorted(set(settings) - set(known)):
        raise UserError(f"unknown field '{unknown[0]}' of a design: the fields are like, {', '.join(known)}")
    return replace(DESIGNS[like], **settings)
