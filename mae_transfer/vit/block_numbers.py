"""Which blocks of a ViT a setting names."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import UserError


def block_numbers(indices: Sequence[int | float], depth: int, setting: str) -> tuple[int, ...]:
    """Numbers from 0 of the blocks that ``indices`` name by number, from the end, or by a fraction of the depth.

    Raises:
        UserError: a block does not exist.
    """
    numbers = []
    for index in indices:
        number = index
        if isinstance(index, float) and 0 < index <= 1:
            number = max(1, round(index * depth)) - 1
        if not isinstance(number, int) or not -depth <= number < depth:
            raise UserError(f'{setting} {tuple(indices)}: block {index} does not exist in a ViT of depth {depth}')
        numbers.append(number % depth)
    return tuple(numbers)


def global_block_numbers(depth: int, window_size: int, chosen: Sequence[int] | None) -> tuple[int, ...]:
    """The blocks that attend over all tokens: all without windows, the last of each quarter where none are chosen.

    Raises:
        UserError: a block does not exist; the depth has no quarters.
    """
    if not window_size:
        return tuple(range(depth))
    if chosen is not None:
        return block_numbers(chosen, depth, 'global_blocks')
    if depth % 4:
        raise UserError(f'depth {depth} has no four equal quarters, each to end in a global block: set global_blocks')
    return tuple(range(depth // 4 - 1, depth, depth // 4))
