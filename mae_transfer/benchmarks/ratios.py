"""What two sides that took turns needed in each round: medians, ratios and their spread."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median, quantiles

#: From this many rounds on the spread is the middle half of them; before, all.
QUARTILES_FROM = 4


def spread(values: Sequence[float]) -> tuple[float, float]:
    """The first and third quartile; of fewer than four values the least and the greatest."""
    if len(values) < QUARTILES_FROM:
        return min(values), max(values)
    first, _, third = quantiles(values, n=4, method='inclusive')
    return first, third


def ratio_cell(theirs: Sequence[float], ours: Sequence[float]) -> str:
    """``median (low to high)`` of the ratios of each round, such as '1.32 (1.30 to 1.35)'.

    Ratios of the same round: what else ran on the machine then slowed both.
    """
    ratios = [one / other for one, other in zip(theirs, ours, strict=True)]
    low, high = spread(ratios)
    return f'{median(ratios):.2f} ({low:.2f} to {high:.2f})'


def in_turns(names: Sequence[str], number: int) -> list[str]:
    """The order of the sides in a round: forwards and backwards in turn, so that none is always first."""
    return list(names[:: -1 if number % 2 else 1])


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ['---'] * len(head), *rows]
    return '\n'.join(f'| {" | ".join(cells)} |' for cells in lines)
