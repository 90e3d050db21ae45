"""Scale modules, which both pyramids consist of: from the single stride of a plain ViT to four strides."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor, nn

from ..errors import UserError

#: Resolution of each level relative to the ViT's map. With patches of 16 the strides are 4, 8, 16, 32.
SCALES = (4, 2, 1, 0.5)


def scale_module(
    scale: float, dim: int, norm: Callable[[int], nn.Module], halve: bool = False
) -> tuple[nn.Module, int]:
    """Build the module that resizes a map to ``scale`` times its height and width.

    x4: deconvolution, norm, GELU, deconvolution; x2: deconvolution; x1: identity; x1/2: max-pooling. The deconvolutions
    are 2 x 2 with stride 2.

    Args:
        scale: one of :data:`SCALES`.
        dim: channels of the map.
        norm: builds the norm for a number of channels; only x4 contains one.
        halve: whether each deconvolution halves the channels (ViTDet) or keeps them (Li 2021, BEiT).

    Returns:
        The module, (B, dim, H, W) to (B, channels, scale * H, scale * W), and ``channels``.
    """
    half = dim // 2 if halve else dim
    if scale == 4:
        quarter = half // 2 if halve else dim
        return nn.Sequential(
            nn.ConvTranspose2d(dim, half, 2, 2), norm(half), nn.GELU(), nn.ConvTranspose2d(half, quarter, 2, 2)
        ), quarter
    if scale == 2:
        return nn.ConvTranspose2d(dim, half, 2, 2), half
    if scale == 1:
        return nn.Identity(), dim
    if scale == 0.5:
        # Rounded up, so that a map of odd height or width keeps its last row or column, and the stride stays exact.
        return nn.MaxPool2d(2, 2, ceil_mode=True), dim
    raise ValueError(f'scale is one of {SCALES}; found {scale}')


def check_maps(maps: Sequence[Tensor], number: int, dim: int, pyramid: str) -> None:
    """Check the maps that a pyramid is given.

    Args:
        number: how many maps the pyramid needs.
        dim: the number of their channels.
        pyramid: its name, for the message.

    Raises:
        UserError: another number of maps, or of channels.
    """
    if len(maps) != number:
        raise UserError(
            f'{pyramid} reads {number} map{"s" if number > 1 else ""}; found {len(maps)}: set the out_indices of the '
            f'backbone to {number} of its blocks'
        )
    if wrong := [m.shape[1] for m in maps if m.shape[1] != dim]:
        raise UserError(f"{pyramid} is built for maps of {dim} channels; found {wrong[0]}: set embed_dim to the ViT's")
