"""How long a run takes to start, next to what the imports of other libraries take.

    tools/benchmark.py start --images ../shared/data/photos1k --rounds 5

Rows, in turns, each a new process: ``torch`` imports PyTorch; ``libraries`` also torchvision, timm, mmengine.runner and
matplotlib, on which everything here stands; ``mae_transfer`` also this package's import; ``first iteration`` is
tools/train.py with configs/small/mae_pretrain.py (or --config), from the command to the line of its first iteration.
Seconds by the clock, medians of the rounds with the middle half; the last column is what a row takes beyond the one
before, of the same rounds.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from ..compat.package_configs import PREFIX
from ..errors import UserError
from ..progress import progress
from .ratios import in_turns, markdown, spread

IMPORTS = {
    'torch': 'import torch',
    'libraries': 'import torch, torchvision, timm, mmengine.runner, matplotlib.figure',
    'mae_transfer': 'import torch, torchvision, timm, mmengine.runner, matplotlib.figure, mae_transfer',
}
FIRST_ITERATION = 'first iteration'
ROWS = (*IMPORTS, FIRST_ITERATION)
LIMIT_S = 600


def parse_args(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse and check the command line, or what is given in its place."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--images', type=Path, required=True, help='folder of photos to pre-train on')
    parser.add_argument('--config', default=f'{PREFIX}small/mae_pretrain.py', help='default %(default)s')
    parser.add_argument('--rounds', type=int, default=5, help='starts of each row; default %(default)s')
    parser.add_argument('--json', type=Path, metavar='FILE', help='also write the numbers to FILE')
    args = parser.parse_args(arguments)
    if args.rounds < 1:
        raise UserError(f'--rounds must be 1 or more; found {args.rounds}')
    if not args.images.is_dir():
        raise UserError(f'--images: no folder {args.images}')
    return args


def import_time(row: str) -> float:
    """Seconds of a process that imports what a row of :data:`IMPORTS` names."""
    start = time.perf_counter()
    subprocess.run([sys.executable, '-c', IMPORTS[row]], check=True)
    return time.perf_counter() - start


def first_iteration_time(config: str, images: Path) -> float:
    """Seconds from the command to the line of the first iteration; the run is ended there.

    Raises:
        UserError: the run ended before.
    """
    tool = Path(__file__).parents[2] / 'tools' / 'train.py'
    options = [f'data_root={images}', 'default_hooks.logger.interval=1']
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, str(tool), config, '--work-dir', folder, '--cfg-options', *options]
        start, line = time.perf_counter(), ''
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as run:
            assert run.stdout is not None
            for line in run.stdout:
                if '(train)' in line:
                    seconds = time.perf_counter() - start
                    run.kill()
                    return seconds
    raise UserError(f'the run ended before its first iteration: {line.strip()}')


def measure(config: str, images: Path, rounds: int) -> dict[str, list[float]]:
    """Seconds of each row in each round, after one that is not counted (files are not in memory yet)."""
    found: dict[str, list[float]] = {row: [] for row in ROWS}
    for number in progress(range(rounds + 1), 'rounds measured'):
        for row in in_turns(ROWS, number):
            seconds = first_iteration_time(config, images) if row == FIRST_ITERATION else import_time(row)
            if number:
                found[row].append(seconds)
    return found


def table(found: dict[str, list[float]]) -> str:
    """Markdown: a row for each of :data:`ROWS`."""
    cells = []
    for before, row in zip((None, *ROWS), ROWS):
        low, high = spread(found[row])
        more = [one - other for one, other in zip(found[row], found[before])] if before else found[row]
        cells.append([row, f'{median(found[row]):.2f} ({low:.2f} to {high:.2f})', f'{median(more):.2f}'])
    return markdown(('row', 'seconds', 'beyond the row before'), cells)


def run(args: argparse.Namespace) -> None:
    """Measure, and print the table."""
    found = measure(args.config, args.images, args.rounds)
    print(f'\n{args.config}, {args.rounds} rounds\n\n{table(found)}')
    if args.json:
        args.json.write_text(json.dumps(found, indent=1) + '\n')


def main() -> None:
    """The command line."""
    run(parse_args())
