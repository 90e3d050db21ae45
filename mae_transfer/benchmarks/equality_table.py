"""The table of :mod:`~mae_transfer.benchmarks.equality`, for all starts; ``python -m
mae_transfer.benchmarks.equality_table`` prints it."""

from __future__ import annotations

import argparse
import logging

from .equality import Start, measure
from .equality_official import OFFICIAL_STARTS
from .equality_timm import TIMM_STARTS
from .equality_transformers import transformers_starts


def all_starts() -> list[Start]:
    """The starts of all projects."""
    return [*TIMM_STARTS, *transformers_starts(), *OFFICIAL_STARTS]


def table(starts: list[Start]) -> str:
    """A table in Markdown, a line for each start."""
    lines = [
        '| start | computed by | layout of the file | images | features | gradients |',
        '|---|---|---|---|---|---|',
    ]
    for start in starts:
        found = [measure(start, size) for size in start.sizes]
        sizes = ', '.join(f'{height} x {width}' for height, width in start.sizes)
        if start.built_for:
            sizes += f' (positions of {start.built_for[0]} x {start.built_for[1]})'
        features, gradients = (
            f'{worst:.0e}' if (worst := max(values)) else '0'
            for values in ([e.features for e in found], [e.gradients for e in found])
        )
        lines.append(f'| {start.name} | {start.source} | `{start.layout}` | {sizes} | {features} | {gradients} |')
    return '\n'.join(lines)


def main() -> None:
    """Print the table."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    logging.disable(logging.INFO)
    print(table(all_starts()))


if __name__ == '__main__':
    main()
