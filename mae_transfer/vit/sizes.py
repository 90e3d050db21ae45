"""The sizes of the ViT, from tiny to huge, in one table."""

from __future__ import annotations

from dataclasses import dataclass, fields

from ..errors import UserError


@dataclass(frozen=True)
class Size:
    """The size of a ViT.

    Args:
        embed_dim: width D of the tokens.
        depth: number of blocks.
        num_heads: attention heads; must divide ``embed_dim``.
        patch_size: side of a patch in pixels, unless the model sets another.
        mlp_ratio: hidden width of a block's MLP, as a multiple of ``embed_dim``.
    """

    embed_dim: int
    depth: int
    num_heads: int
    patch_size: int = 16
    mlp_ratio: float = 4.0

    def __post_init__(self) -> None:
        if min(self.embed_dim, self.depth, self.num_heads, self.patch_size) < 1:
            raise UserError(f'the sizes of a ViT must be positive; found {self}')
        # Sin-cos positions have sines and cosines for two axes: four parts (position.py).
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
    """The :class:`Size` that ``arch`` describes.

    Args:
        arch: a name of :data:`SIZES`; ``embed_dim x depth x num_heads``, such as '192x5x3'; or a dictionary of the
            fields of :class:`Size`.

    Raises:
        UserError: an unknown name; an unknown or missing field; numbers that make no ViT.
    """
    if isinstance(arch, Size):
        return arch
    known = [field.name for field in fields(Size)]
    required = known[:3]
    if isinstance(arch, str):
        if arch in SIZES:
            return SIZES[arch]
        numbers = arch.split('x')
        if len(numbers) != 3 or not all(number.isdecimal() for number in numbers):
            raise UserError(
                f"unknown arch '{arch}': choose one of {', '.join(SIZES)}, or give {' x '.join(required)}, such as "
                '192x5x3, or a dict of these'
            )
        return Size(*map(int, numbers))
    if unknown := sorted(set(arch) - set(known)):
        raise UserError(f"unknown arch field '{unknown[0]}': the fields are {', '.join(known)}")
    if missing := [name for name in required if name not in arch]:
        raise UserError(f"arch has no '{missing[0]}': give {', '.join(required)}")
    return Size(**arch)


def name_of(size: Size) -> str:
    """The arch that describes a width, a depth and heads: a name of :data:`SIZES`, or, e.g., '192x5x3'."""
    numbers = (size.embed_dim, size.depth, size.num_heads)
    known = (name for name, other in SIZES.items() if (other.embed_dim, other.depth, other.num_heads) == numbers)
    return next(known, 'x'.join(map(str, numbers)))
