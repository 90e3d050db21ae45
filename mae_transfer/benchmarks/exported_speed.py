"""Time of an exported ViT in onnxruntime next to the same model in PyTorch, in turns.

    python -m mae_transfer.benchmarks.exported_speed --arch small --threads 1

The weights are random: time does not depend on them. Both get the same uint8 images and give class token and patches.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median

import torch

from .. import launch
from ..data.files.bands import RGB_MEAN, RGB_STD
from ..errors import UserError
from ..exporting.graphs import graph_of
from ..exporting.onnx_file import export_onnx
from ..exporting.source import Source
from ..vit import ViT
from .ratios import in_turns, markdown, ratio_cell

_SIDES = ('PyTorch', 'onnxruntime')


def seconds_in_turns(
    file: Path, source: Source, batch: int, size: tuple[int, int], rounds: int, threads: int
) -> dict[str, list[float]]:
    """Seconds of each round, by side; the first, a warm-up, is left out."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(file), options, providers=['CPUExecutionProvider'])
    graph = graph_of(source).eval()
    images = torch.randint(0, 256, (batch, 3, *size), dtype=torch.uint8)
    runs = dict(PyTorch=lambda: graph(images), onnxruntime=lambda: session.run(None, {'images': images.numpy()}))
    times: dict[str, list[float]] = {side: [] for side in _SIDES}
    for number in range(rounds + 1):
        for side in in_turns(_SIDES, number):
            start = time.perf_counter()
            with torch.no_grad():
                runs[side]()
            if number:
                times[side].append(time.perf_counter() - start)
    return times


def main() -> None:
    """Export, measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--arch', default='small', help='size of the ViT, as in configs; default %(default)s')
    parser.add_argument('--batches', nargs='+', type=int, default=[1, 8], help='images at once; default 1 and 8')
    parser.add_argument('--sizes', nargs='+', default=['224x224', '160x288'], help='HEIGHTxWIDTH of images')
    parser.add_argument('--rounds', type=int, default=9, help='measured rounds; default %(default)s')
    parser.add_argument('--threads', type=int, default=1, help='threads of either; default %(default)s')
    args = parser.parse_args()
    if min(*args.batches, args.rounds, args.threads) < 1:
        raise UserError('--batches, --rounds and --threads must be 1 or more')
    sizes = [_size(text) for text in args.sizes]
    torch.set_num_threads(args.threads)
    vit = ViT(args.arch).eval()
    source = Source(vit, 'RGB', RGB_MEAN, RGB_STD, (224, 224), name=f'ViT {args.arch}')
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        result = export_onnx(source, Path(folder) / 'vit.onnx')
        print(f'{result.format}, {sum(file.stat().st_size for file in result.files) / 2**20:.1f} MiB, ', end='')
        print(f'written and checked in {time.perf_counter() - start:.0f} s; largest difference {result.difference:.0e}')
        rows = []
        for batch in args.batches:
            for height, width in sizes:
                times = seconds_in_turns(result.files[0], source, batch, (height, width), args.rounds, args.threads)
                cells = [f'{1000 * median(times[side]):.0f}' for side in _SIDES]
                rows.append([f'{batch}', f'{height} x {width}', *cells, ratio_cell(*(times[side] for side in _SIDES))])
    print(markdown(['images', 'size', 'PyTorch, ms', 'onnxruntime, ms', 'times as fast'], rows))


def _size(text: str) -> tuple[int, int]:
    """(height, width) of 'HEIGHTxWIDTH'; raises ``UserError``."""
    sides = text.split('x')
    if len(sides) != 2 or not all(side.isdecimal() and int(side) for side in sides):
        raise UserError(f"--sizes are HEIGHTxWIDTH, e.g. 224x224; found '{text}'")
    return int(sides[0]), int(sides[1])


if __name__ == '__main__':
    launch.run_main(main)
