"""Data sets of images that several tests share."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from torchvision.datasets import cifar

from tests.helpers import save_photo
from tests.own_data import CLASSES, DETECTION_PIPELINE, SIZES, coco_content, photo


@pytest.fixture(scope='module')
def roots(tmp_path_factory) -> list[str]:
    """Two folders with three classes, of 6 and of 9 images; in each also the five folders of a corruption."""
    made = []
    for name, count in (('a', 2), ('b', 3)):
        root = tmp_path_factory.mktemp(name)
        for label, kind in enumerate(('ant', 'bee', 'cat')):
            for number in range(count):
                save_photo(root / 'train' / kind / f'{number}.png', 100 * count + 10 * label + number, (20, 16))
                save_photo(root / 'val' / kind / f'{number}.png', 200 * count + 10 * label + number, (20, 16))
            for severity in range(1, 6):
                save_photo(
                    root / 'fog' / str(severity) / kind / 'x.png', 1000 * count + 10 * severity + label, (20, 16)
                )
        made.append(str(root))
    return made


@pytest.fixture
def any_checksum(monkeypatch):
    """Let torchvision accept the synthetic files as the published ones."""
    monkeypatch.setattr(cifar, 'check_integrity', lambda path, md5=None: Path(path).is_file())


@pytest.fixture
def logged(monkeypatch) -> list[str]:
    """The lines that reading files in COCO's format logs."""
    lines: list[str] = []
    for module in ('values', 'json_files', 'left'):
        monkeypatch.setattr(f'mae_transfer.data.coco.{module}.print_log', lambda text, **settings: lines.append(text))
    return lines


@pytest.fixture
def coco_images(tmp_path) -> Callable:
    """A function that builds the data set from a content in COCO's format; all its images exist."""

    from mae_transfer.data.coco.images import CocoImages  # MMDetection, which few of these tests need

    def of(content=None, metainfo=None, **settings):
        for seed, size in enumerate(SIZES):
            photo(tmp_path / f'{seed}.jpg', size, seed)
        photo(tmp_path / 'empty.jpg', SIZES[1])  # of the contents that have an image without objects
        (tmp_path / 'a.json').write_text(json.dumps(content or coco_content()))
        return CocoImages(
            data_root=str(tmp_path),
            ann_file='a.json',
            metainfo=metainfo or dict(classes=CLASSES),
            serialize_data=False,
            **dict(dict(pipeline=DETECTION_PIPELINE, data_prefix=dict(img='')), **settings),
        )

    return of
