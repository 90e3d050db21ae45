#!/usr/bin/env -S sh -c 'exec "$(dirname "$(readlink -f "$0")")/python" "$0" "$@"'
"""Measure this project next to others on the same work, in turns, in one run: speed, memory, ratios.

    tools/benchmark.py pretrain --arch base --batch 8          a training step of MAE
    tools/benchmark.py data --images ../shared/data/photos1k   from JPEG files to crops
    tools/benchmark.py detect                                  ViTDet's backbone at 1024
    tools/benchmark.py segment                                 the backbone of UperNet at 512
    tools/benchmark.py all --json all.json                     these four, one after the other
    tools/benchmark.py backbones ...                           backbones at any sizes, and attention alone
    tools/benchmark.py cost CONFIG ...                         steps of our own configs, side by side
    tools/benchmark.py start --images ../shared/data/photos1k  from the command to the first iteration

Each part has its own options: tools/benchmark.py PART --help. `all` passes those on that a part has; one that fails
does not stop the others. Other projects are measured where they are installed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mae_transfer import launch
from mae_transfer.benchmarks import compare_backbones, compare_pretraining, measure_cost, reading, start_time
from mae_transfer.errors import UserError
from mae_transfer.outputs import output_file

#: {part: the module with its command line and its measurement; options that are given before the user's}
PARTS: dict[str, tuple[Any, list[str]]] = {
    'pretrain': (compare_pretraining, []),
    'data': (reading, []),
    'detect': (compare_backbones, ['--peers', 'vitdet', '--sizes', '1024', '--peer-over-ours']),
    'segment': (compare_backbones, ['--peers', 'mmseg', '--sizes', '512', '--peer-over-ours']),
    'backbones': (compare_backbones, []),
    'cost': (measure_cost, []),
    'start': (start_time, []),
}
ALL = ('pretrain', 'data', 'detect', 'segment')
#: Options of `all`, and the parts that have them.
OPTIONS = {
    '--arch': ('pretrain', 'detect', 'segment'),
    '--batch': ('pretrain', 'detect', 'segment'),
    '--device': ('pretrain', 'detect', 'segment'),
    '--dtype': ('pretrain', 'detect', 'segment'),
    '--rounds': ALL,
    '--threads': ALL,
    '--images': ('data',),
    '--official': ('pretrain',),
}


def parse_args() -> argparse.Namespace:
    """Parse and check the command line: ``part``, and ``options``, those of the part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('part', choices=[*PARTS, 'all'])
    parser.add_argument('options', nargs=argparse.REMAINDER, help='of the part: tools/benchmark.py PART --help')
    args = parser.parse_args()
    if args.part == 'all':
        args.options = parse_options(args.options)
    else:
        module, given = PARTS[args.part]
        args.options = module.parse_args([*given, *args.options])
    return args


def parse_options(options: Sequence[str]) -> argparse.Namespace:
    """The options of `all`."""
    parser = argparse.ArgumentParser(prog='tools/benchmark.py all', description='Options that are passed on.')
    for option, parts in OPTIONS.items():
        parser.add_argument(option, help=f'of {", ".join(parts)}')
    parser.add_argument('--compile', action='store_true', help='of pretrain, detect, segment')
    parser.add_argument('--json', metavar='FILE', help='write the numbers of all parts to FILE')
    args = parser.parse_args(options)
    args.json = output_file(args.json, '--json') if args.json else None
    return args


def measure_all(args: argparse.Namespace) -> None:
    """The parts of :data:`ALL`, each in a process of its own: one that has computed cannot measure memory any more.

    Raises:
        UserError: one of them failed.
    """
    found, failed = {}, []
    with tempfile.TemporaryDirectory() as folder:
        for part in ALL:
            print(f'\n## {part}\n', flush=True)
            passed = ['--compile'] if args.compile and part in OPTIONS['--arch'] else []
            for option, parts in OPTIONS.items():
                value = getattr(args, option.removeprefix('--'))
                passed += [option, value] if value is not None and part in parts else []
            numbers = Path(folder, f'{part}.json')
            ended = subprocess.run([sys.executable, __file__, part, *passed, '--json', str(numbers)], check=False)
            if ended.returncode:
                failed.append(part)
            else:
                found[part] = json.loads(numbers.read_text())
    if args.json:
        args.json.write_text(json.dumps(found, indent=1) + '\n')
    if failed:
        raise UserError(f'{", ".join(failed)} failed: the line of each is above')


def main() -> None:
    """Measure one part, or all."""
    args = parse_args()
    if args.part == 'all':
        measure_all(args.options)
    else:
        PARTS[args.part][0].run(args.options)


if __name__ == '__main__':
    launch.run_main(main)
