"""tiny, small, base, large, huge: the sizes of the ViT, in one table."""

from __future__ import annotations

from dataclasses import dataclass, fields

from ..errors import UserError


@dataclass(frozen=True)
class Size:
    """What makes a ViT the size it is.

    Args:
        embed_dim: width D of the tokens.
        depth: number of blocks.
        num_heads: attention heads; must divide ``embed_dim``.
        patch_size: side of a patch in pixels, where the model does not say otherwise.
        mlp_ratio: hidden width of a block's MLP, as a multiple of ``embed_dim``.
    """

    embed_dim: int
    depth: int
    num_heads: int
    patch_size: int = 16
    mlp_ratio: float = 4.0

    def __post_init__(self):
        if min(self.embed_dim, self.depth, self.num_heads, self.patch_size) < 1:
            raise UserError(f'a ViT needs positive sizes; found {self}')
        # Two axes, each with a sine and a cosine half (position.py).
        if self.embed_dim % self.num_heads or self.embed_dim % 4:
            raise UserError(
                f'embed_dim must be a multiple of num_heads and of 4; found embed_dim={self.embed_dim}, '
                f'num_heads={self.num_heads}'
            )


#: B, L, H: MAE section 4; tiny and small: DeiT (arXiv 2012.12877) Table 1.
SIZES = {
    'tiny': Size(192, 12, 3),
    'small': Size(384, 12, 6),
    'base': Size(768, 12, 12),
    'large': Size(1024, 24, 16),
    'huge': Size(1280, 32, 16, patch_size=14),
}


def resolve_size(arch: str | dict | Size) -> Size:
    """The :class:`Size` behind a name of :data:`SIZES` or a dictionary of its fields.

    Raises:
        UserError: unknown name, unknown or missing field.
    """
    if isinstance(arch, Size):
        return arch
    known = [field.name for field in fields(Size)]
    if isinstance(arch, str):
        if arch not in SIZES:
            raise UserError(
                f"unknown arch '{arch}': choose one of {', '.join(SIZES)}, or give a dict with {', '.join(known[:3])}"
            )
        return SIZES[arch]
    if unknown := sorted(set(arch) - set(known)):
        raise UserError(f"unknown arch field '{unknown[0]}': the fields are {', '.join(known)}")
    if missing := [name for name in known[:3] if name not in arch]:
        raise UserError(f"arch misses '{missing[0]}': give {', '.join(known[:3])}")
    return Size(**arch)
