"""The backbones of other libraries that tools/compare_backbones.py measures, and ours, with the same weights."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mae_transfer.vit import ViT
from mae_transfer.vit.relative_position import DecomposedAttention
from mae_transfer.vit.sizes import Size

PATCH, WINDOW = 16, 14
#: peer -> the module that it lies in, and what pip installs
PACKAGES = {
    'vitdet': ('transformers.models.vitdet', 'transformers'),
    'mmseg': ('mmseg.models.backbones.mae', 'onedl-mmsegmentation'),
}


class Case(NamedTuple):
    """Two modules that compute the same.

    Args:
        ours, theirs: build them on the CPU, with the same weights at every call.
        names: our weights, or their gradients, under the peer's names.
        inputs: shape of what both are called with.
        trains_inputs: whether a train step goes back to the inputs, too.
    """

    ours: Callable[[], nn.Module]
    theirs: Callable[[], nn.Module]
    names: Callable[[dict[str, Tensor]], dict[str, Tensor]]
    inputs: tuple[int, ...]
    trains_inputs: bool = False


def our_vit(**settings: Any) -> ViT:
    """A ViT all of whose weights are trained, and random: those that start as zero would hide a mistake in their
    use."""
    torch.manual_seed(0)
    vit = ViT(patch_size=PATCH, final_norm=False, learn_positions=True, **settings)
    with torch.no_grad():
        for name, weight in vit.named_parameters():
            if weight.ndim == 1 or 'rel' in name:
                weight.add_(torch.randn_like(weight), alpha=0.1)
    return vit


def vitdet_names(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Names of transformers' VitDetBackbone, whose position table has a slot for a class token that it never uses."""
    renamed = {}
    for name, value in weights.items():
        value = F.pad(value, (0, 0, 1, 0)) if name == 'pos_embed' else value
        name = name.replace('pos_embed', 'embeddings.position_embeddings').replace(
            'patch_embed.proj', 'embeddings.projection'
        )
        renamed[re.sub(r'^blocks\.(\d+)\.', r'encoder.layer.\1.', name).replace('.attn.', '.attention.')] = value
    return renamed


def vitdet(arch: Size, size: int, batch: int) -> Case:
    """Beside transformers' VitDetBackbone."""

    def ours() -> ViT:
        return our_vit(
            arch=arch, rel_pos='decomposed', window_size=WINDOW, class_token=False, img_size=224, rel_pos_img_size=size
        )

    def theirs() -> nn.Module:
        from transformers.models.vitdet import VitDetBackbone, VitDetConfig

        model = VitDetBackbone(
            VitDetConfig(
                hidden_size=arch.embed_dim,
                num_hidden_layers=arch.depth,
                num_attention_heads=arch.num_heads,
                mlp_ratio=int(arch.mlp_ratio),
                image_size=size,
                pretrain_image_size=224,
                patch_size=PATCH,
                use_relative_position_embeddings=True,
                window_size=WINDOW,
                window_block_indices=[i for i in range(arch.depth) if (i + 1) % (arch.depth // 4)],
                out_features=[f'stage{arch.depth}'],
            )
        )
        model.load_state_dict(vitdet_names(ours().state_dict()))
        return model

    return Case(ours, theirs, vitdet_names, (batch, 3, size, size))


def mmseg_names(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Names of MMSegmentation's MAE."""
    changes = {
        'patch_embed.proj.': 'patch_embed.projection.',
        'blocks.': 'layers.',
        '.norm': '.ln',
        '.mlp.fc1.': '.ffn.layers.0.0.',
        '.mlp.fc2.': '.ffn.layers.1.',
    }
    renamed = {}
    for name, value in weights.items():
        for old, new in changes.items():
            name = name.replace(old, new)
        renamed[name] = value
    return renamed


def mmseg(arch: Size, size: int, batch: int) -> Case:
    """Beside MMSegmentation's MAE. It always has a layer scale, unlike MAE: that stays 1 and is not trained."""
    taps = tuple(arch.depth * twelfths // 12 - 1 for twelfths in (4, 6, 8, 12))  # BEiT's: 3, 5, 7, 11 of 12 blocks

    def ours() -> ViT:
        return our_vit(arch=arch, rel_pos='table', img_size=size, out_indices=taps)

    def theirs() -> nn.Module:
        """MMSegmentation's, with our weights and a layer scale of one."""
        from mmseg.models.backbones.mae import MAE

        warnings.filterwarnings('ignore', message='torch.meshgrid')  # of theirs
        model = MAE(
            img_size=size,
            patch_size=PATCH,
            embed_dims=arch.embed_dim,
            num_layers=arch.depth,
            num_heads=arch.num_heads,
            mlp_ratio=int(arch.mlp_ratio),
            out_indices=taps,
            norm_cfg=dict(type='LN', eps=1e-6),
            init_values=1.0,
        )
        own = {
            name: value
            for name, value in model.state_dict().items()
            if name.endswith(('gamma_1', 'gamma_2', 'position_index'))
        }
        model.load_state_dict({**mmseg_names(ours().state_dict()), **own})
        for layer in model.layers:
            layer.gamma_1.requires_grad_(False), layer.gamma_2.requires_grad_(False)
        return model

    return Case(ours, theirs, mmseg_names, (batch, 3, size, size))


class PackageAttention(DecomposedAttention):
    """Attention alone, as the ViT's blocks compute it: queries, keys, values (3, B, heads, N, d) to (B, heads, N,
    d)."""

    def __init__(self, arch: Size, side: int):
        torch.manual_seed(0)
        super().__init__(arch.embed_dim, arch.num_heads, (side, side))
        del self.qkv, self.proj
        self.side = side
        for table in self.parameters():
            nn.init.normal_(table, std=0.1)

    def forward(self, inputs: Tensor) -> tuple[Tensor]:
        return (self.attend(*inputs, (self.side, self.side)),)


class PlainAttention(PackageAttention):
    """The same by its definition."""

    def attend(self, q: Tensor, k: Tensor, v: Tensor, grid: tuple[int, int]) -> Tensor:
        """As :meth:`DecomposedAttention.attend`, with the whole bias stored."""
        places = torch.arange(self.side, device=q.device)
        offsets = places[:, None] - places + self.side - 1
        squares = q.unflatten(2, grid)
        by_row = torch.einsum('bhrcd,rkd->bhrck', squares, self.rel_pos_h[offsets])
        by_column = torch.einsum('bhrcd,ckd->bhrck', squares, self.rel_pos_w[offsets])
        bias = (by_row[..., None] + by_column[..., None, :]).flatten(4).flatten(2, 3)
        return (q * q.shape[-1] ** -0.5 @ k.transpose(-2, -1) + bias).softmax(-1) @ v


def attention(arch: Size, size: int, batch: int, windows: bool = False) -> Case:
    """Our attention with decomposed relative positions beside its definition."""
    side, count = (WINDOW, (-(-size // PATCH // WINDOW)) ** 2) if windows else (size // PATCH, 1)
    inputs = (3, batch * count, arch.num_heads, side**2, arch.embed_dim // arch.num_heads)
    return Case(
        lambda: PackageAttention(arch, side), lambda: PlainAttention(arch, side), dict, inputs, trains_inputs=True
    )


CASES = {
    'vitdet': vitdet,
    'mmseg': mmseg,
    'global': attention,
    'windows': lambda *sizes: attention(*sizes, windows=True),
}
