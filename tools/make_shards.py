#!/usr/bin/env -S sh -c 'exec "$(dirname "$(readlink -f "$0")")/python" "$0" "$@"'
"""Write a folder tree or a list of photos into shards: tar files, as the webdataset library reads and writes them.

    tools/make_shards.py data/photos data/shards

Files are copied as they are; --short-side 256 makes photos smaller. A folder with train/ and val/ becomes
train-000000.tar, ..., val-000000.tar, ...; any other photos-000000.tar, .... With --classes each photo gets the number
of its class, KEY.cls, and the names of the classes are written into classes.txt. Shards take their names when all are
complete.
"""

from __future__ import annotations

import argparse
import os
import re

from mae_transfer import launch
from mae_transfer.data.files.shard_writing import Reduction
from mae_transfer.data.photos.sharding import parts_of, refuse_other_shards, told_of, write_parts
from mae_transfer.errors import UserError
from mae_transfer.outputs import output_folder
from mae_transfer.paths import shown, user_path
from mae_transfer.progress import Progress

UNITS = {'': 1, 'KB': 10**3, 'MB': 10**6, 'GB': 10**9}


def parse_args() -> argparse.Namespace:
    """Parse and check the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('folder', metavar='FOLDER', help='folder of photos, at any depth, or list file')
    parser.add_argument('out', metavar='OUT', help='folder to write to')
    parser.add_argument(
        '--classes', action='store_true', help='folders are classes (with a list: its lines have labels)'
    )
    parser.add_argument(
        '--short-side',
        type=int,
        help='make photos smaller, to so many pixels of their shorter side, as JPEG; default: copy',
    )
    parser.add_argument('--quality', type=int, default=95, help='of these JPEGs, 1 to 100; default %(default)s')
    parser.add_argument('--size', default='100MB', help='of a shard at most, in KB, MB or GB; default %(default)s')
    parser.add_argument('--workers', type=int, default=os.cpu_count() or 1, help='processes; default %(default)s')
    parser.add_argument('--overwrite', action='store_true', help='remove the shards that OUT holds')
    args = parser.parse_args()
    if args.short_side is not None and args.short_side < 1:
        raise UserError(f'--short-side is a number of pixels, 1 or more; found {args.short_side}')
    if not 1 <= args.quality <= 100:
        raise UserError(f'--quality is a number from 1 to 100; found {args.quality}')
    if args.workers < 0:
        raise UserError(f'--workers is a number of processes, 0 or more; found {args.workers}')
    match = re.fullmatch(r'(\d+(?:\.\d+)?)\s*(|KB|MB|GB)', args.size.upper())
    if match is None or float(match[1]) <= 0:
        raise UserError(f'--size is a number of bytes, e.g. 100MB or 1GB; found {args.size}')
    args.size = int(float(match[1]) * UNITS[match[2]])
    return args


def main() -> None:
    """Write the shards."""
    args = parse_args()
    source, out = user_path(args.folder, 'FOLDER'), output_folder(args.out, 'OUT', create=False)
    if os.path.realpath(source) == os.path.realpath(out):
        raise UserError(f'OUT is FOLDER, {shown(out)}, whose photos would hide the shards: choose another folder')
    refuse_other_shards(out, args.overwrite)
    parts = parts_of(source, args.classes)
    reduction = None if args.short_side is None else Reduction(args.short_side, args.quality)
    with Progress('photos written') as told:
        written = write_parts(parts, out, reduction, args.size, args.workers, args.overwrite, told)
    print('\n'.join(told_of(written, out)))


if __name__ == '__main__':
    launch.run_main(main)
