"""Random damage to label maps, and odd but legitimate forms of them."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from tests.data.label_maps.label_forms import FORMS, channels, palette


class Mutation(NamedTuple):
    """What became of a label map.

    ``numbers``: what a right reading gives, None where that is not known because bytes were changed. ``right``: whether
    it may be read at all.
    """

    what: str
    path: Path
    numbers: np.ndarray | None
    right: bool = True


def mutate_label_map(path: Path, rng: np.random.Generator) -> Mutation:
    """Change a label map of numbers 0..2 at random, in its place or under another name.

    Bytes are cut off, inserted or changed in the header or anywhere; it is written in another form, size or format,
    with other numbers, or under another name.
    """
    kinds = (_bytes, _bytes, _header, _form, _colours, _numbers, _size, _format, _name, _file)
    return kinds[rng.integers(len(kinds))](path, rng)


def _read(path: Path) -> np.ndarray:
    return np.array(Image.open(path))


def _bytes(path: Path, rng: np.random.Generator) -> Mutation:
    content = bytearray(path.read_bytes())
    place, count = int(rng.integers(len(content))), int(rng.integers(1, 9))
    what = ('cut off', 'removed', 'inserted', 'changed', 'appended')[rng.integers(5)]
    noise = rng.bytes(count)
    if what == 'cut off':
        del content[place:]
    elif what == 'removed':
        del content[place : place + count]
    elif what == 'inserted':
        content[place:place] = noise
    elif what == 'changed':
        content[place : place + count] = noise
    else:
        content += noise
    path.write_bytes(content)
    return Mutation(f'{count} bytes {what} at {place}', path, None)


def _header(path: Path, rng: np.random.Generator) -> Mutation:
    if rng.random() < 0.5:  # TIFF and BMP have no check sums
        suffix = ('.tif', '.bmp')[rng.integers(2)]
        Image.open(path).save(path.with_suffix(suffix))
        path.unlink()
        path = path.with_suffix(suffix)
    content = bytearray(path.read_bytes())
    place = int(rng.integers(min(len(content), 64)))
    content[place] = int(rng.integers(256))
    path.write_bytes(content)
    return Mutation(f'byte {place} of the header of a {path.suffix} set to {content[place]}', path, None)


def _form(path: Path, rng: np.random.Generator) -> Mutation:
    numbers = _read(path)
    form = sorted(FORMS)[rng.integers(len(FORMS))]
    suffix, write = FORMS[form]
    path.unlink()
    write(numbers, path := path.with_suffix(suffix))
    return Mutation(form, path, numbers)


def _colours(path: Path, rng: np.random.Generator) -> Mutation:
    numbers = _read(path)
    what = ('RGB', 'CMYK', 'transparent', 'half', 'NaN')[rng.integers(5)]
    if what == 'RGB':
        palette(numbers).convert('RGB').save(path)
    elif what == 'transparent':
        Image.fromarray(channels(numbers, rng.integers(0, 2, numbers.shape).astype(np.uint8))).save(path)
    else:
        path.unlink()
        path = path.with_suffix('.tif')
        if what == 'CMYK':
            palette(numbers).convert('CMYK').save(path)
        else:
            Image.fromarray((numbers + (0.5 if what == 'half' else np.nan)).astype(np.float32)).save(path)
    return Mutation(f'colours: {what}', path, None, right=False)


def _numbers(path: Path, rng: np.random.Generator) -> Mutation:
    numbers = _read(path).astype(np.int64)
    number = int(rng.choice([3, 4, 100, 254, 255, 256, 257, 258, 300, 65535, -1, 10**6]))
    row, column = (int(rng.integers(side)) for side in numbers.shape)
    numbers[row, column] = number
    path.unlink()
    if 0 <= number < 256:
        Image.fromarray(numbers.astype(np.uint8)).save(path)
    elif 0 <= number < 65536:
        Image.fromarray(numbers.astype(np.uint16)).save(path)
    else:
        path = path.with_suffix('.tif')
        Image.fromarray(numbers.astype(np.int32)).save(path)
    return Mutation(f'a pixel of {number}', path, numbers, right=number == 255)


def _size(path: Path, rng: np.random.Generator) -> Mutation:
    numbers = _read(path)
    if rng.random() < 0.3:
        numbers = numbers.T
    else:
        numbers = np.resize(numbers, (int(rng.integers(1, 9)), int(rng.integers(1, 9))))
    right = numbers.shape == _read(path).shape
    Image.fromarray(np.ascontiguousarray(numbers)).save(path)
    return Mutation(f'size {numbers.shape}', path, numbers, right)


def _format(path: Path, rng: np.random.Generator) -> Mutation:
    numbers = _read(path)
    kind = ('JPEG', 'WEBP', 'PPM', 'GIF', 'TGA', 'ICO', 'PDF', 'JPEG2000', 'TIFF', 'BMP')[rng.integers(10)]
    Image.fromarray(channels(numbers) if kind in ('WEBP', 'PDF') else numbers).save(path, kind)
    return Mutation(f'{kind} named {path.suffix}', path, numbers, right=kind in ('TIFF', 'BMP'))


def _name(path: Path, rng: np.random.Generator) -> Mutation:
    numbers = _read(path)
    names = (
        'a.PNG',
        'a.Png',
        'a.tif',
        'a.bmp',
        'b.png',
        '.a.png',
        'a_mask.png',
        'a',
        'a.jpg',
        'a.png.bak',
        'A.png',
        ' a.png',
    )
    name = names[rng.integers(len(names))]
    path.rename(path := path.with_name(name))
    return Mutation(
        f"named '{name}'", path, numbers, right=path.stem == 'a' and path.suffix.lower() in ('.png', '.tif', '.bmp')
    )


def _file(path: Path, rng: np.random.Generator) -> Mutation:
    what = ('gone', 'a folder', 'a link to itself', 'a link to nothing', 'twice', 'text', 'empty', 'noise')[
        rng.integers(8)
    ]
    content = path.read_bytes()
    if what == 'twice':
        path.with_suffix('.tif').write_bytes(content)
        return Mutation(what, path, None, right=False)
    path.unlink()
    if what == 'a folder':
        path.mkdir()
    elif what == 'a link to itself':
        path.symlink_to(path)
    elif what == 'a link to nothing':
        path.symlink_to('nowhere')
    elif what != 'gone':
        path.write_bytes({'text': b'a label map\n', 'empty': b'', 'noise': rng.bytes(len(content))}[what])
    return Mutation(what, path, None, right=False)
