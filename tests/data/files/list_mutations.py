"""List files, folder trees and image files changed at random, from a seed: what a disk, a person or a program does."""

from __future__ import annotations

import codecs
import os
import random
from pathlib import Path

from tests.helpers import save_photo

NAMES = ('a.jpg', 'sub/b.png', 'sub/c d.jpg', 'é/ü.png', 'caf\udce9.jpg', 'f,g.jpg', 'h;i.png')
_PIECES = (
    *(
        b'\n',
        b'\r',
        b'\0',
        b' ',
        b'\t',
        b',',
        b';',
        b'"',
        b"'",
        b'#',
        b'\\',
        b'/',
        b'..',
        b'\xff',
        b'\xc3',
        b'\xe2\x80',
    ),
    *(b'.jpg', b'path,label\n', b'label path\n', b'1e9', b'-1', b'99999999999', b'\xef\xbb\xbf', b'nan', b'x' * 300),
)


def write_photos(folder: Path) -> Path:
    """Photos of a few pixels, with names of every kind."""
    for seed, name in enumerate(NAMES):
        save_photo(folder / name, seed, (4, 4))
    return folder


def mutated_list(seed: int, labelled: bool) -> bytes:
    """A list file of :data:`NAMES` in a form that ``seed`` chooses, with up to four pieces changed."""
    rng = random.Random(seed)
    separator = rng.choice([' ', '\t', ',', ';', ', ', '  '])
    labels = rng.choice([['0', '1', '2'], ['ant', 'bee'], ['1', '2'], ['0.0', '1.0'], ['big dog', 'cat']])
    lines = []
    for name in rng.sample(NAMES, rng.randint(1, len(NAMES))):
        name = name.replace('/', '\\') if rng.random() < 0.1 else name
        name = f'"{name}"' if rng.random() < 0.1 else name
        columns = [name, rng.choice(labels)] if labelled else [name]
        lines.append(separator.join(columns[:: rng.choice([1, 1, 1, 1, -1])]))
    if rng.random() < 0.2:
        lines.insert(0, separator.join(['path', 'label'] if labelled else ['path']))
    text = rng.choice(['\n', '\r\n', '\r']).join(lines)
    encoding = rng.choice(['utf-8'] * 4 + ['utf-16-le', 'utf-32-le', 'cp1252'])
    mark = {'utf-16-le': codecs.BOM_UTF16_LE, 'utf-32-le': codecs.BOM_UTF32_LE}.get(encoding, b'')
    errors = 'surrogateescape' if encoding in ('utf-8', 'cp1252') else 'replace'
    content = bytearray(mark + text.encode(encoding, errors))
    for _ in range(rng.randint(0, 4)):
        place = rng.randrange(len(content) + 1)
        change = rng.choice(['insert', 'delete', 'flip', 'cut', 'repeat'])
        if change == 'insert':
            content[place:place] = rng.choice(_PIECES)
        elif change == 'delete':
            del content[place : place + rng.randint(1, 5)]
        elif change == 'flip' and place < len(content):
            content[place] ^= 1 << rng.randrange(8)
        elif change == 'cut':
            del content[place:]
        elif change == 'repeat':
            content[place:place] = content[: rng.randint(1, 40)]
    return bytes(content)


def mutate_tree(folder: Path, seed: int) -> Path:
    """A tree of photos in two class folders for each of two splits, with up to six changes."""
    rng = random.Random(seed)
    for split in ('train', 'val'):
        for kind in ('ant', 'bee'):
            save_photo(folder / split / kind / 'a.png', seed, (4, 4))
    for number in range(rng.randint(1, 6)):
        folders = [Path(path) for path, _, _ in os.walk(folder)]
        place = rng.choice(folders)
        change = rng.choice(
            ['up', 'self', 'across', 'hidden', 'bytes', 'empty', 'file', 'pipe', 'remove', 'deep', 'gone']
        )
        new = place / f'{change}{number}'
        if change == 'up':
            new.symlink_to(rng.choice(['..', '../..', '.', '/dev']))
        elif change == 'self':
            new.with_suffix('.jpg').symlink_to(f'{new.name}.jpg')
        elif change == 'across':
            new.symlink_to(rng.choice(folders))
        elif change == 'hidden':
            save_photo(place / rng.choice(['.ipynb_checkpoints', '__MACOSX', '.x']) / '._a.png', size=(4, 4))
        elif change == 'bytes':
            save_photo(place / f'\udce9{number}' / '\udcff\n.png', size=(4, 4))
        elif change == 'empty':
            new.mkdir()
        elif change == 'file':
            new.with_suffix(rng.choice(['.jpg', '.txt', '', '.gif', '.JPG'])).write_bytes(rng.randbytes(20))
        elif change == 'pipe':
            os.mkfifo(new.with_suffix('.jpg'))
        elif change == 'remove':
            for file in list(place.glob('*.png'))[:1]:
                file.unlink()
        elif change == 'deep':
            save_photo(new / '/'.join('abcdefgh') / 'x.jpg', size=(4, 4))
        else:
            new.with_suffix('.png').symlink_to('nowhere')
    return folder


def mutate_image(file: Path, seed: int) -> None:
    """Cut an image file short, or change some of its bytes, rather at its beginning."""
    rng = random.Random(seed)
    content = bytearray(file.read_bytes())
    if rng.random() < 0.3:
        del content[rng.randrange(len(content)) :]
    for _ in range(rng.randint(0, 6)):
        if content:
            place = min(int(rng.expovariate(1 / 40)), len(content) - 1) if rng.random() < 0.7 else None
            content[rng.randrange(len(content)) if place is None else place] = rng.randrange(256)
    file.write_bytes(bytes(content))
