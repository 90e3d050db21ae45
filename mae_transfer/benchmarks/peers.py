"""Backbones of other libraries, each with a ViT of ours that computes the same from the same weights."""

from __future__ import annotations

import importlib
import re
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import UserError
from ..vit import ViT
from ..vit.position_tables import is_rel_pos_table
from ..vit.relative_position import DecomposedAttention
from ..vit.sizes import Size

PATCH, WINDOW = 16, 14
#: {peer: (the module that has it, the package that pip installs)}
PACKAGES = {
    'vitdet': ('transformers.models.vitdet', 'transformers'),
    'mmseg': ('mmseg.models.backbones.mae', 'onedl-mmsegmentation'),
}


def import_package(peer: str, module: str, package: str) -> None:
    """Import the module that a peer needs.

    Args:
        peer: its name, for messages.
        module: what is imported.
        package: what pip installs; after it, further packages that it needs and does not ask for.

    Raises:
        UserError: its package, or one that this needs, is not installed.
    """
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        if f'{module}.'.startswith(f'{error.name}.'):
            raise UserError(
                f"peer '{peer}' needs the package {package.split()[0]}: pip install {package}, or name other --peers"
            ) from None
        raise UserError(
            f"peer '{peer}' cannot be imported: no module named '{error.name}': install it, or name other --peers"
        ) from None
    except Exception as error:  # versions that do not go together: the others can be measured
        raise UserError(
            f"peer '{peer}' cannot be imported with the versions that are installed ({type(error).__name__}: {error}): "
            'name other --peers'
        ) from error


def import_peer(peer: str) -> None:
    """Import a peer's package once in this process, instead of in every process that measures it.

    Raises:
        UserError: the package is not installed.
    """
    if peer in PACKAGES:  # a case of attention alone is in this package
        import_package(peer, *PACKAGES[peer])


def imported_peers(named: Sequence[str] | None, every: Sequence[str], load: Callable[[str], object]) -> list[str]:
    """The peers to measure, imported by ``load``: those that were named, or all that are installed.

    Of each that is not installed a line is printed.

    Raises:
        UserError: an unknown name; one that was named is not installed; none of all is.
    """
    if unknown := [peer for peer in named or () if peer not in every]:
        raise UserError(f"--peers: unknown peer '{unknown[0]}'; choose from {', '.join(every)}")
    found = []
    for peer in named or every:
        try:
            load(peer)
        except UserError as error:
            if named or len(every) == 1:
                raise
            print(f'left out: {error}', flush=True)
        else:
            found.append(peer)
    return found


class Case(NamedTuple):
    """Two modules that compute the same.

    Args:
        ours, theirs: functions that build the two modules on the CPU, with the same weights at every call.
        names: a function from a dict of our weights, or of their gradients, to the same dict with the peer's names.
        inputs: shape of the inputs of both modules.
        trains_inputs: whether a train step also computes the gradient of the inputs.
    """

    ours: Callable[[], nn.Module]
    theirs: Callable[[], nn.Module]
    names: Callable[[dict[str, Tensor]], dict[str, Tensor]]
    inputs: tuple[int, ...]
    trains_inputs: bool = False


def random_vit(**settings: Any) -> ViT:
    """A ViT of random weights, all of them trained.

    Weights that usually start as zero are random, too: zeros would hide a mistake in their use.
    """
    torch.manual_seed(0)
    vit = ViT(patch_size=PATCH, final_norm=False, learn_positions=True, **settings)
    with torch.no_grad():
        for name, weight in vit.named_parameters():
            if weight.ndim == 1 or is_rel_pos_table(name):
                weight.add_(torch.randn_like(weight), alpha=0.1)
    return vit


def to_vitdet_names(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Our weights under the names of transformers' VitDetBackbone.

    Its position embedding has an entry for a class token, which it never uses.
    """
    renamed = {}
    for name, value in weights.items():
        if name == 'pos_embed':
            value = F.pad(value, (0, 0, 1, 0))
        name = name.replace('pos_embed', 'embeddings.position_embeddings')
        name = name.replace('patch_embed.proj', 'embeddings.projection').replace('.attn.', '.attention.')
        renamed[re.sub(r'^blocks\.(\d+)\.', r'encoder.layer.\1.', name)] = value
    return renamed


def vitdet_case(arch: Size, size: int, batch: int) -> Case:
    """Our ViT and transformers' VitDetBackbone."""

    def ours() -> ViT:
        return random_vit(
            arch=arch, rel_pos='decomposed', window_size=WINDOW, class_token=False, img_size=224, rel_pos_img_size=size
        )

    def theirs() -> nn.Module:
        from transformers.models.vitdet import VitDetBackbone, VitDetConfig

        settings: dict[str, Any] = dict(
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
        model = VitDetBackbone(VitDetConfig(**settings))
        model.load_state_dict(to_vitdet_names(ours().state_dict()))
        return model

    return Case(ours, theirs, to_vitdet_names, (batch, 3, size, size))


def to_mmseg_names(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Our weights under the names of MMSegmentation's MAE."""
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


def mmseg_case(arch: Size, size: int, batch: int) -> Case:
    """Our ViT and MMSegmentation's MAE; the latter's layer scale, which MAE does not have, is 1 and not trained."""
    out_indices = tuple(
        arch.depth * twelfths // 12 - 1 for twelfths in (4, 6, 8, 12)
    )  # as BEiT: 3, 5, 7, 11 of 12 blocks

    def ours() -> ViT:
        return random_vit(arch=arch, rel_pos='table', img_size=size, out_indices=out_indices)

    def theirs() -> nn.Module:
        from mmseg.models.backbones.mae import MAE

        warnings.filterwarnings('ignore', message='torch.meshgrid')  # it calls meshgrid without `indexing`
        model = MAE(
            img_size=size,
            patch_size=PATCH,
            embed_dims=arch.embed_dim,
            num_layers=arch.depth,
            num_heads=arch.num_heads,
            mlp_ratio=int(arch.mlp_ratio),
            out_indices=out_indices,
            norm_cfg=dict(type='LN', eps=1e-6),
            init_values=1.0,
        )
        # Keep what our ViT does not have: the layer scale of 1 and the table of indices.
        kept = {
            name: value
            for name, value in model.state_dict().items()
            if name.endswith(('gamma_1', 'gamma_2', 'position_index'))
        }
        model.load_state_dict({**to_mmseg_names(ours().state_dict()), **kept})
        for layer in model.layers:
            layer.gamma_1.requires_grad_(False)
            layer.gamma_2.requires_grad_(False)
        return model

    return Case(ours, theirs, to_mmseg_names, (batch, 3, size, size))


class OurAttention(nn.Module):
    """Attention with decomposed relative positions alone, as the ViT's blocks compute it.

    Args:
        arch: the ViT's size.
        side: rows and columns of the patches.
    """

    def __init__(self, arch: Size, side: int):
        super().__init__()
        torch.manual_seed(0)
        self.grid = (side, side)
        self.attention = DecomposedAttention(arch.embed_dim, arch.num_heads, self.grid)
        del self.attention.qkv, self.attention.proj  # unused, and they would count as memory
        for table in self.parameters():
            nn.init.normal_(table, std=0.1)

    def forward(self, inputs: Tensor) -> tuple[Tensor]:
        """Queries, keys and values (3, B, heads, N, d) to attended values (B, heads, N, d)."""
        q, k, v = inputs
        return (self.attention.attend(q, k, v, self.grid),)


class PlainAttention(OurAttention):
    """The same attention by its definition, with scores and biases of all pairs stored."""

    def forward(self, inputs: Tensor) -> tuple[Tensor]:
        """As in :class:`OurAttention`."""
        q, k, v = inputs
        side = self.grid[0]
        places = torch.arange(side, device=q.device)
        offsets = places[:, None] - places + side - 1
        squares = q.unflatten(2, self.grid)
        by_row = torch.einsum('bhrcd,rkd->bhrck', squares, self.attention.rel_pos_h[offsets])
        by_column = torch.einsum('bhrcd,ckd->bhrck', squares, self.attention.rel_pos_w[offsets])
        bias = (by_row[..., None] + by_column[..., None, :]).flatten(4).flatten(2, 3)
        return ((q * q.shape[-1] ** -0.5 @ k.transpose(-2, -1) + bias).softmax(-1) @ v,)


def global_case(arch: Size, size: int, batch: int) -> Case:
    """Our attention over all patches of an image, and its definition."""
    return _attention_case(arch, size // PATCH, batch)


def windows_case(arch: Size, size: int, batch: int) -> Case:
    """Our attention within the windows of an image, and its definition."""
    windows_per_side = -(-size // PATCH // WINDOW)
    return _attention_case(arch, WINDOW, batch * windows_per_side**2)


def _attention_case(arch: Size, side: int, batch: int) -> Case:
    inputs = (3, batch, arch.num_heads, side**2, arch.embed_dim // arch.num_heads)
    return Case(lambda: OurAttention(arch, side), lambda: PlainAttention(arch, side), dict, inputs, trains_inputs=True)


CASES: dict[str, Callable[[Size, int, int], Case]] = {
    'vitdet': vitdet_case,
    'mmseg': mmseg_case,
    'global': global_case,
    'windows': windows_case,
}
