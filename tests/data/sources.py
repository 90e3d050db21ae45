"""Sources of labelled images for tests."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
from PIL import Image

from tests.helpers import save_photo


def tree(folder: Path, *names: str) -> Path:
    for seed, name in enumerate(names):
        save_photo(folder / name, seed, (8, 8))
    return folder


def pairs(source) -> list[tuple[str, int]]:
    assert source.labels.dtype == np.int64 and len(source.names) == len(source.labels)
    return list(zip(source.names, source.labels.tolist()))


def cifar_folder(folder: Path, hundred: bool, count: int = 4) -> Path:
    """Write files in the published layout, with ``count`` images each, whose pixels equal the label."""
    folder = folder / ('cifar-100-python' if hundred else 'cifar-10-batches-py')
    folder.mkdir()
    key = 'fine_labels' if hundred else 'labels'
    files = ['train', 'test'] if hundred else [f'data_batch_{number}' for number in range(1, 6)] + ['test_batch']
    for file in files:
        labels = [(number + len(file)) % 10 for number in range(count)]
        data = np.repeat(np.array(labels, np.uint8)[:, None], 3072, 1)
        data[:, :1024] += 100  # the red channel
        (folder / file).write_bytes(
            pickle.dumps({key: labels, 'data': data, 'filenames': [str(i) for i in range(count)]})
        )
    names = [f'class{number}' for number in range(100 if hundred else 10)]
    meta, name = ('meta', 'fine_label_names') if hundred else ('batches.meta', 'label_names')
    (folder / meta).write_bytes(pickle.dumps({name: names}))
    return folder


def rotated(path, orientation, size=(30, 20)):
    """An image of ``size`` (width, height) as it is stored."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new('RGB', size).save(path, exif=exif)
    return str(path)
