"""A ViT alone, from a file or folder of any project: what it is, is taken from its weights and from what lies beside
them; what neither shows, from the start that they are of (:mod:`~mae_transfer.starts`)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ..data.files.bands import Bands, channel_count, channel_values, resolve_bands
from ..errors import CheckpointError, UserError
from ..paths import user_path
from ..starts import Start, start, whole_patches
from ..vit import ViT
from ..vit.design import LAYER_NORM_EPS, Design, resolve_design
from ..vit.position_tables import is_rel_pos_table, rel_pos_kind
from ..vit.sizes import SIZES, Size, resolve_size
from ..vit.weights.checkpoint import Weights, load_vit, read_weights
from ..vit.weights.folder_config import FolderConfig, folder_config
from ..vit.weights.peers import PEERS
from ..vit.weights.shown_design import design_of
from ..vit.weights.source_grid import SourceGrid, add_class_row, find_source_grid, patch_positions

#: Of images for weights that are for no size: rotary or relative positions alone.
IMAGE_SIZE = 224


@dataclass(frozen=True)
class BareViT:
    """A ViT with its weights, and what its images have to be like.

    Attributes:
        vit: with its final norm, if the weights have one.
        fc_norm: the norm after the mean of the patches, of weights that were fine-tuned with it in place of the final
            one; None for others.
        bands: which bands of image files it sees.
        mean, std: of the images' channels, on the scale of the files.
        source: the file.
    """

    vit: ViT
    fc_norm: nn.LayerNorm | None
    bands: str | tuple[int, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    source: str


def read_bare_vit(
    source: str | Path | Weights,
    *,
    arch: Any = None,
    init: str | None = None,
    design: Any = None,
    weights_key: str | None = None,
    source_grid: tuple[int, int] | None = None,
    bands: Bands | None = None,
    mean: Any = None,
    std: Any = None,
) -> BareViT:
    """Read the weights of a ViT and build it around them, for the image size that its positions are for.

    Width, depth, patch size, width of the MLPs, channels, class token and relative positions are those of the weights.
    The number of heads is that of ``arch``, or stated by the ``config.json`` beside the weights, or that of the size of
    the same width and depth.

    Args:
        source: file or folder of any known layout, or what was read of it.
        arch: the size, as in ``ViT(arch=...)``.
        init: what the weights are, as in configs: 'deit3', 'dinov2', 'clip', ...
        design: as in ``ViT(design=...)``, where no ``init`` is right.
        weights_key, source_grid: see :func:`~mae_transfer.vit.weights.checkpoint.load_vit`.
        bands: which bands of image files the ViT sees; None: colours or grey, by its channels.
        mean, std: of the images; None: as stated beside the weights, or those of ``init``.

    Raises:
        UserError: no weights of a ViT; what they do not show and nobody says; settings that are not theirs.
    """
    weights = source if isinstance(source, Weights) else read_weights(user_path(source, 'model'), weights_key)
    stated = folder_config(weights.file) if weights.file else FolderConfig()
    encoder = weights.encoder
    try:
        known = _start_of(weights, init, arch)
        size = _size_of(encoder, known, arch, init, stated)
        bands = _bands_of(encoder, weights, bands)
        settings: dict[str, Any] = dict(
            arch=size,
            in_channels=channel_count(bands),
            design=_design_of(weights, known, init, design, stated),
            class_token='cls_token' in encoder,
            final_norm='norm.weight' in encoder,
            rel_pos=_rel_pos_of(encoder),
            rotary_img_size=known.rotary_img_size,
        )
        image_size = _image_size_of(weights, size.patch_size, source_grid, stated)
    except CheckpointError as error:
        raise CheckpointError(f'{weights.source}: {error}') from None
    vit = ViT(img_size=image_size, **settings)
    load_vit(vit, weights, source_grid=source_grid, may_inflate=False)
    statistics = _statistics(bands, known, stated, mean, std)
    return BareViT(vit.eval(), _fc_norm_of(weights, size.embed_dim), bands, *statistics, weights.source)


def _start_of(weights: Weights, init: str | None, arch: Any) -> Start:
    """What is known of the pre-training: the one that the user names, or the only one with these names of weights."""
    if init is not None:
        return start(init, arch)
    if weights.layout in PEERS:
        if like := PEERS[weights.layout].design:
            return start(like)
    elif 'cls_token' not in weights.encoder and weights.layout != 'hf':  # which is I-JEPA's then, a plain ViT
        raise CheckpointError(
            "the ViT has no class token, and its names of weights do not say whose it is: give init='siglip', or "
            "init='mae' for a plain ViT without one"
        )
    return start(None)


def _size_of(encoder: Mapping[str, Tensor], known: Start, arch: Any, init: str | None, stated: FolderConfig) -> Size:
    """Width, depth, patches and MLPs of the weights; their heads as ``arch``, the folder, ``init`` or the table of
    sizes says."""
    blocks = {name.split('.')[1] for name in encoder if name.startswith('blocks.')}
    projection = encoder.get('patch_embed.proj.weight')
    hidden = encoder.get('blocks.0.mlp.fc1.weight', encoder.get('blocks.0.mlp.fc1_g.weight'))
    if projection is None or hidden is None:
        raise CheckpointError('the weights are no whole ViT: its patch embedding or first MLP is missing')
    width, depth = projection.shape[0], len(blocks)
    if arch is not None or (init is not None and '_vit' in init):
        of_init: Any = known.arch
        named = resolve_size(of_init if arch is None else arch)
        if (named.embed_dim, named.depth) != (width, depth):
            what = f"init '{init}'" if arch is None else f'arch {arch!r}'
            raise CheckpointError(
                f'{what} is of embed_dim {named.embed_dim}, depth {named.depth}; the weights of {width}, {depth}'
            )
        heads = named.num_heads
    elif stated.num_heads is not None:
        heads = stated.num_heads
    else:
        sizes = [*(size for size, _ in known.sizes.values()), *SIZES.values()]
        found = next((size.num_heads for size in sizes if (size.embed_dim, size.depth) == (width, depth)), None)
        if found is None:
            raise CheckpointError(
                f'a ViT of embed_dim {width}, depth {depth} has no name, and weights do not show the number of heads: '
                f"give arch='{width}x{depth}xHEADS'"
            )
        heads = found
    return Size(width, depth, heads, projection.shape[-1], _ratio(hidden.shape[0], width))


def _ratio(hidden: int, width: int) -> float:
    """The number whose product with ``width`` is ``hidden`` when it is rounded down."""
    ratio = hidden / width
    return ratio if int(width * ratio) == hidden else math.nextafter(ratio, math.inf)


def _design_of(weights: Weights, known: Start, init: str | None, design: Any, stated: FolderConfig) -> Design:
    """The design that the user names; otherwise the one of the start, with what weights and folder show of it."""
    if design is not None:
        return resolve_design(design)
    chosen, shown = resolve_design(known.design), design_of(weights.encoder)
    if init is None and known.design is not None:  # the start is known by its names, not which of its models it is
        mlp = 'swiglu' if shown['gated'] else chosen.mlp
        chosen = replace(chosen, registers=shown['registers'], mlp=mlp)
    if stated.norm_eps is not None:
        chosen = replace(chosen, norm_eps=stated.norm_eps)
    if stated.activation is not None and not shown['gated']:
        chosen = replace(chosen, mlp=stated.activation)
    return chosen


def _rel_pos_of(encoder: Mapping[str, Tensor]) -> str | None:
    """The kind of relative positions that the weights have."""
    kind = next((kind for name in encoder if (kind := rel_pos_kind(name))), None)
    if kind == 'decomposed':
        raise CheckpointError(
            'its blocks attend in windows (SAM, ViTDet), and weights do not show which: embed by a run of such a '
            'detector, which has its config inside'
        )
    return kind


def _bands_of(encoder: Mapping[str, Tensor], weights: Weights, bands: Bands | None) -> str | tuple[int, ...]:
    channels = encoder['patch_embed.proj.weight'].shape[1]
    if bands is None:
        bands = weights.bands or {1: 'L', 3: 'RGB'}.get(channels)
    if bands is None:
        raise CheckpointError(
            f'the ViT takes {channels} channels: give bands, their numbers in the image files, with mean and std'
        )
    if channel_count(bands) != channels:
        raise CheckpointError(f'the ViT takes {channels} channels; bands={bands!r} are {channel_count(bands)}')
    return resolve_bands(bands)


def _image_size_of(
    weights: Weights, patch: int, source_grid: tuple[int, int] | None, stated: FolderConfig
) -> tuple[int, int]:
    """(height, width) that the positions, or tables of relative ones, are for; of rotary ones alone, which are for any,
    as the folder says, or 224."""
    table = next((value for name, value in weights.encoder.items() if is_rel_pos_table(name)), None)
    if table is not None:  # (2 s - 1)^2 offsets and three entries for the class token, for s x s patches
        side = (math.isqrt(len(table)) + 1) // 2
        return side * patch, side * patch
    encoder, _ = add_class_row(weights.encoder, source_grid, weights.grid and weights.grid.grid)
    positions = patch_positions(encoder)
    if positions is None:
        return whole_patches(stated.image_size or IMAGE_SIZE, patch)
    grid: SourceGrid = find_source_grid(positions, weights.grid, source_grid)
    return grid.grid[0] * patch, grid.grid[1] * patch


def _statistics(
    bands: str | tuple[int, ...], known: Start, stated: FolderConfig, mean: Any, std: Any
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation: as the user says, the folder, or the start, which is of colours."""
    values = []
    for name, given, beside, of_start in (('mean', mean, stated.mean, known.mean), ('std', std, stated.std, known.std)):
        count = channel_count(bands)
        if given is None and beside is not None and len(beside) == count:
            given = beside
        if given is None and bands != 'RGB':
            raise UserError(f'bands={bands!r} need mean and std, a value for each band, on the scale of the files')
        numbers = channel_values(name, of_start if given is None else given)
        if len(numbers) != count:
            raise UserError(f'{name} has {len(numbers)} values; bands={bands!r} are {count}')
        values.append(numbers)
    return values[0], values[1]


def _fc_norm_of(weights: Weights, width: int) -> nn.LayerNorm | None:
    """The norm after the mean of the patches, where it takes the place of the final norm (official fine-tuning)."""
    names = ('fc_norm.weight', 'fc_norm.bias')
    if 'norm.weight' in weights.encoder or not all(name in weights.head for name in names):
        return None
    norm = nn.LayerNorm(width, eps=LAYER_NORM_EPS)
    norm.load_state_dict({name.removeprefix('fc_norm.'): weights.head[name] for name in names})
    return norm.eval()
