"""Measure how fast JPEG files become what a model gets for MAE: random crops of 224, flipped at random.

    tools/benchmark.py data --images ../shared/data/photos1k --json data.json
    tools/benchmark.py data --workers 0 1 2 4 --peers pil_torchvision

The photos are JPEGs of 500 x 375, quality 90: those of ``--images``, resized, else made-up ones. Ours is the data
loader of configs/_base_/mae_pretrain.py, with its sampler, seeds and batches; with four crops of a photo that is read
once (``ours_4_crops``); from tar shards (``ours_shards``). Peers: ``pil_torchvision`` reads as the
official training does, with torchvision's ImageFolder and transforms to a normalised float tensor;
``pil_torchvision_uint8`` ends with a uint8 tensor, as ours does. A round is one pass over all photos, with workers that
run already; 0 workers is the process itself. One thread each. The rows take turns, in alternating order; the table
shows medians, and ratios of the seconds of the same rounds, with the middle half of the rounds (all, of fewer than
four). Above 1 ours is better.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from mmengine.registry import DefaultScope
from PIL import Image, ImageOps
from torch import Tensor
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder

from ..compat.package_configs import config_path
from ..data.files.bands import RGB_MEAN, RGB_STD
from ..data.files.image_files import images_below
from ..data.photos.sharding import parts_of, write_parts
from ..errors import UserError
from ..outputs import output_file
from ..progress import progress
from ..registry import SCOPE
from ..runner import StrictRunner
from ..settings import change_settings, read_config
from .arguments import add_output_options
from .ratios import in_turns, markdown, ratio_cell

PHOTO_SIZE, QUALITY = (500, 375), 90
OURS = 'ours'
#: Our rows: a name, and what it changes of configs/_base_/mae_pretrain.py, given the folder of the photos; a row that
#: needs other files makes them beside it, once, and changes ``data_root``.
OUR_ROWS: dict[str, Callable[[Path], list[tuple[str, Any]]]] = {
    OURS: lambda folder: [],
    'ours_4_crops': lambda folder: [('crops_per_decode', 4)],
    'ours_shards': lambda folder: [('data_root', str(_shards_of(folder)))],
}

_IMAGENET = dict(mean=[value / 255 for value in RGB_MEAN], std=[value / 255 for value in RGB_STD])
#: Other rows: what torchvision's transforms end with.
PEER_ROWS: dict[str, Callable[[], list]] = {
    'pil_torchvision': lambda: [transforms.ToTensor(), transforms.Normalize(**_IMAGENET)],
    'pil_torchvision_uint8': lambda: [transforms.PILToTensor()],
}


def write_photos(folder: Path, count: int, source: Path | None = None) -> None:
    """Write JPEGs of :data:`PHOTO_SIZE`: photos of a folder, resized and repeated as often as needed, or made-up ones.

    Raises:
        UserError: no such folder, or one without images.
    """
    folder.mkdir(parents=True)
    if source and not source.is_dir():
        raise UserError(f'--images: no folder {source}')
    names = images_below(source) if source else []
    if source and not names:
        raise UserError(f'--images: no image in {source}')
    rng = np.random.default_rng(0)
    for number in range(count):
        if source:
            with Image.open(source / names[number % len(names)]) as photo:
                made = ImageOps.fit(photo.convert('RGB'), PHOTO_SIZE, Image.Resampling.BICUBIC)
        else:  # coarse and fine structures, so that the file has about the bytes of a photo
            coarse = Image.fromarray(rng.integers(0, 256, (9, 12, 3), dtype=np.uint8)).resize(PHOTO_SIZE)
            fine = Image.fromarray(rng.integers(0, 256, (PHOTO_SIZE[1] // 2, PHOTO_SIZE[0] // 2, 3), dtype=np.uint8))
            made = Image.blend(coarse, fine.resize(PHOTO_SIZE, Image.Resampling.BICUBIC), 0.15)
        made.save(folder / f'{number:05d}.jpg', quality=QUALITY)


def _shards_of(folder: Path) -> Path:
    """The same photos in shards, in a folder beside theirs."""
    shards = folder.with_name(f'{folder.name}_shards')
    if not shards.exists():
        shards.mkdir()
        write_parts(parts_of(folder, labelled=False), shards)
    return shards


def our_loader(folder: Path, changes: Sequence[tuple[str, Any]], batch: int, workers: int, size: int) -> DataLoader:
    """The loader of our pre-training, with some settings changed."""
    sizes = [('data_root', str(folder)), ('image_size', size)]
    loader = [('train_dataloader.batch_size', batch), ('train_dataloader.num_workers', workers)]
    cfg = change_settings(read_config(config_path('_base_/mae_pretrain.py')), [*sizes, *loader, *changes])
    with DefaultScope.overwrite_default_scope(SCOPE):
        return StrictRunner.build_dataloader(cfg.train_dataloader, seed=0)


def torchvision_loader(folder: Path, ends: list, batch: int, workers: int, size: int) -> DataLoader:
    """A loader of torchvision's ImageFolder, with the crops of MAE's training."""
    steps = [
        transforms.RandomResizedCrop(size, scale=(0.2, 1.0), interpolation=transforms.InterpolationMode.BICUBIC),
        transforms.RandomHorizontalFlip(),
        *ends,
    ]
    photos = ImageFolder(str(folder), transform=transforms.Compose(steps))
    return DataLoader(photos, batch, shuffle=True, num_workers=workers, drop_last=True, persistent_workers=workers > 0)


def loaders(peers: Sequence[str], folder: Path, batch: int, workers: int, size: int) -> dict[str, DataLoader]:
    """{row: its loader}."""
    found = {name: our_loader(folder, changes(folder), batch, workers, size) for name, changes in OUR_ROWS.items()}
    return found | {name: torchvision_loader(folder, PEER_ROWS[name](), batch, workers, size) for name in peers}


def one_pass(loader: DataLoader) -> tuple[float, int, Tensor]:
    """Seconds of a pass over the photos, the number of crops that it gave, and the last batch of them."""
    count, start = 0, time.perf_counter()
    for batch in loader:
        crops = batch['inputs'] if isinstance(batch, dict) else batch[0]
        count += crops.shape[:-3].numel()
    return time.perf_counter() - start, count, crops


def measure(peers: Sequence[str], folder: Path, args: argparse.Namespace) -> list[dict]:
    """Let the rows take turns.

    Returns:
        For each number of workers and each row: ``row``, ``workers``, ``gives`` (what a crop is), ``seconds`` for an
        image in each round.
    """
    rows = []
    for workers in args.workers:
        found = loaders(peers, folder, args.batch, workers, args.size)
        gives = {}
        for name, loader in found.items():  # starts the workers, too
            crops = one_pass(loader)[2]
            gives[name] = f'{str(crops.dtype).removeprefix("torch.")}, {" x ".join(map(str, crops.shape[-3:]))}'
        seconds: dict[str, list[float]] = {name: [] for name in found}
        for number in progress(range(args.rounds), f'rounds measured, {workers} workers'):
            for name in in_turns(list(found), number):
                spent, count, _ = one_pass(found[name])
                seconds[name].append(spent / count)
        rows += [dict(row=name, workers=workers, gives=gives[name], seconds=seconds[name]) for name in found]
    return rows


def table(rows: Sequence[dict]) -> str:
    """Markdown: a line for each row and number of workers."""
    ours = {row['workers']: row['seconds'] for row in rows if row['row'] == OURS}
    lines = []
    for row in rows:
        ratio = '' if row['row'] == OURS else ratio_cell(row['seconds'], ours[row['workers']])
        lines.append([row['row'], str(row['workers']), row['gives'], f'{1 / median(row["seconds"]):.4g}', ratio])
    return markdown(('row', 'workers', 'gives', 'images/s', 'seconds, row / ours'), lines)


def parse_args(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse and check the command line, or what is given in its place."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        '--peers', nargs='+', choices=PEER_ROWS, default=list(PEER_ROWS), metavar='PEER', help='default all'
    )
    parser.add_argument('--images', type=Path, metavar='FOLDER', help='photos to resize; default made-up ones')
    parser.add_argument('--photos', type=int, default=256, help='how many files; default %(default)s')
    parser.add_argument('--workers', type=int, nargs='+', default=[0, 1, 2], help='of the data loader; default 0 1 2')
    parser.add_argument('--batch', type=int, default=16, help='images of a batch; default %(default)s')
    parser.add_argument('--size', type=int, default=224, help='side of the crops; default %(default)s')
    parser.add_argument('--rounds', type=int, default=5, help='measured passes; default %(default)s')
    add_output_options(parser)
    args = parser.parse_args(arguments)
    if min(args.batch, args.rounds, args.size) < 1 or min(args.workers) < 0:
        raise UserError('--batch, --rounds and --size must be 1 or more, --workers 0 or more')
    if args.batch % 4:
        raise UserError(f'--batch must be a multiple of 4, for the row of four crops of a photo; found {args.batch}')
    if args.photos < 2 * args.batch:  # a few are held out
        raise UserError(f'--photos must be two batches or more, {2 * args.batch}; found {args.photos}')
    if args.json:
        args.json = output_file(args.json, '--json')
    return args


def run(args: argparse.Namespace) -> None:
    """Write the photos, measure, and print the table."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        photos = Path(folder, 'photos')
        write_photos(photos / 'all', args.photos, args.images)
        size = sum(file.stat().st_size for file in photos.rglob('*.jpg')) / args.photos
        rows = measure(args.peers, photos, args)
    what = 'photos' if args.images else 'made-up pictures'
    print(
        f'{args.photos} {what} of {PHOTO_SIZE[0]} x {PHOTO_SIZE[1]}, {size / 1000:.0f} kB each, crops of {args.size}, '
        f'batches of {args.batch}, {args.rounds} rounds\n\n{table(rows)}'
    )
    if args.json:
        settings = dict(photos=args.photos, what=what, bytes=size, batch=args.batch, torch=torch.__version__)
        args.json.write_text(json.dumps(dict(settings, rows=rows), indent=1) + '\n')


def main() -> None:
    """The command line."""
    run(parse_args())
