"""Odd images among others: in pre-training, classification, detection and segmentation each is read right, or skipped
and named."""

from __future__ import annotations

import io
import json
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mae_transfer.data import LabelledPhotos, Photos
from mae_transfer.data.coco.images import CocoImages
from mae_transfer.data.label_maps.labelled_scenes import LabelledScenes
from mae_transfer.errors import UserError
from mae_transfer.hooks.skipped_images import skipped_in

WIDTH, HEIGHT = 48, 40
CLASSES = ('road', 'field')


def picture(width: int = WIDTH, height: int = HEIGHT) -> Image.Image:
    """Smooth colours, which JPEG changes little."""
    x, y = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return Image.fromarray(np.stack([x, y, 255 - x], -1).astype(np.uint8))


def saved(image: Image.Image, form: str = 'PNG', **settings) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **settings)
    return stream.getvalue()


def transparent(mode: str) -> bytes:
    image = picture().convert(mode)
    image.putalpha(255)
    return saved(image)


def turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 3
    return saved(picture(), 'JPEG', exif=exif, quality=95)


def bomb() -> bytes:
    """A PNG that claims 60,000 x 60,000 pixels."""
    content = bytearray(saved(picture()))
    content[16:24] = struct.pack('>II', 60_000, 60_000)
    return bytes(content)


GREY, PALETTE, ONE_BIT = picture().convert('L'), picture().quantize(64), picture().convert('1')
FRAMES = [picture(), Image.new('RGB', (WIDTH, HEIGHT))]
#: {name: (content of the file, what is read)}
READ = {
    'grey': (saved(GREY), GREY),
    'grey with alpha': (transparent('L'), GREY),
    'alpha': (transparent('RGB'), picture()),
    'palette': (saved(PALETTE), PALETTE),
    'palette with transparency': (saved(PALETTE, transparency=0), PALETTE),
    'one bit': (saved(ONE_BIT), ONE_BIT),
    'CMYK': (saved(picture().convert('CMYK'), 'JPEG', quality=95), picture()),
    'grey JPEG': (saved(GREY, 'JPEG', quality=95), GREY),
    'progressive JPEG': (saved(picture(), 'JPEG', quality=95, progressive=True), picture()),
    'animated GIF': (saved(PALETTE, 'GIF', save_all=True, append_images=[Image.new('P', PALETTE.size)]), PALETTE),
    'animated PNG': (saved(FRAMES[0], save_all=True, append_images=FRAMES[1:]), picture()),
    'animated WebP': (saved(FRAMES[0], 'WEBP', lossless=True, save_all=True, append_images=FRAMES[1:]), picture()),
    'TIFF': (saved(picture(), 'TIFF'), picture()),
    'BMP': (saved(picture(), 'BMP'), picture()),
    'one pixel wide': (saved(picture(1)), picture(1)),
    'one pixel high': (saved(picture(WIDTH, 1)), picture(WIDTH, 1)),
    'one pixel': (saved(picture(1, 1)), picture(1, 1)),
    'turned': (turned(), None),
}  # every file is called .jpg, whatever it is
WHOLE = dict(JPEG=saved(picture(), 'JPEG'), PNG=saved(picture()), WEBP=saved(picture(), 'WEBP'))
SKIPPED = {
    'empty': b'',
    'text': b'<html>404</html>',
    'bomb': bomb(),
    '16 bit': saved(Image.fromarray(np.arange(WIDTH * HEIGHT, dtype=np.uint16).reshape(HEIGHT, WIDTH))),
    **{f'{form} cut by {bytes} bytes': WHOLE[form][:-bytes] for form in WHOLE for bytes in (40, len(WHOLE[form]) // 2)},
}


def keep(image):
    return image


class Task:
    """A data set of three images of which the middle one is odd, and how its pixels are read."""

    def __init__(self, folder: Path, content: bytes, size: tuple[int, int]):
        self.folder = folder
        self.odd = folder / self.names()[1]
        for name in self.names():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if path.stem == 'b' else saved(picture(), 'JPEG'))
        self.annotate(size)

    def annotate(self, size: tuple[int, int]) -> None:
        """Write what belongs to the images; the odd one is of ``size``."""


class Pretrain(Task):
    turns = False

    def names(self):
        return 'a.jpg', 'b.jpg', 'c.jpg'

    def dataset(self, training: bool = True):
        return Photos(str(self.folder), hold_out=0, split='train')

    def pixels(self) -> np.ndarray:
        return np.asarray(self.dataset().read(1))


class Classify(Pretrain):
    def names(self):
        return 'train/x/a.jpg', 'train/x/b.jpg', 'train/y/c.jpg'

    def dataset(self, training: bool = True):
        return LabelledPhotos(str(self.folder), split='train', skip_unreadable=training)


class Detect(Pretrain):
    turns = True
    PIPELINE = [
        dict(type='mmdet.LoadImageFromFile'),
        dict(type='mmdet.LoadAnnotations', with_bbox=True),
        dict(type='mmdet.PackDetInputs'),
    ]

    def annotate(self, size):
        sizes = ((WIDTH, HEIGHT), size, (WIDTH, HEIGHT))
        images = [
            dict(id=i, file_name=name, width=width, height=height)
            for i, (name, (width, height)) in enumerate(zip(self.names(), sizes))
        ]
        box = dict(bbox=[0, 0, 1, 1], area=1, iscrowd=0, category_id=1)
        found = [dict(box, id=i + 1, image_id=i) for i in range(3)]
        content = dict(images=images, annotations=found, categories=[dict(id=1, name='road')])
        (self.folder / 'a.json').write_text(json.dumps(content))

    def dataset(self, training: bool = True):
        return CocoImages(
            data_root=str(self.folder),
            ann_file='a.json',
            metainfo=dict(classes=CLASSES[:1]),
            pipeline=self.PIPELINE,
            test_mode=not training,
            serialize_data=False,
        )

    def pixels(self):
        return self.dataset()[1]['inputs'].permute(1, 2, 0).numpy()[..., ::-1]


class Segment(Detect):
    PIPELINE = [
        dict(type='mmseg.LoadImageFromFile'),
        dict(type='mae_transfer.LoadLabels'),
        dict(type='mmseg.PackSegInputs'),
    ]

    def names(self):
        return 'images/a.jpg', 'images/b.jpg', 'images/c.jpg'

    def annotate(self, size):
        sizes = ((WIDTH, HEIGHT), size, (WIDTH, HEIGHT))
        for name, (width, height) in zip('abc', sizes):
            values = np.ones((height, width), np.uint8)
            values[: height // 2 + 1] = 2
            path = self.folder / f'labels/{name}.png'
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(values).save(path)

    def dataset(self, training: bool = True):
        return LabelledScenes(
            data_root=str(self.folder),
            data_prefix=dict(img_path='images', seg_map_path='labels'),
            metainfo=dict(classes=CLASSES),
            pipeline=self.PIPELINE,
            test_mode=not training,
            serialize_data=False,
        )


TASKS = dict(pretrain=Pretrain, classify=Classify, detect=Detect, segment=Segment)


@pytest.mark.parametrize('name', READ)
@pytest.mark.parametrize('task', TASKS)
def test_is_read_right(task, name, tmp_path):
    content, wanted = READ[name]
    kind = TASKS[task]
    if wanted is None:
        wanted = picture().rotate(180) if kind.turns else picture()
    found = kind(tmp_path, content, wanted.size).pixels().astype(int)
    wanted = np.asarray(wanted.convert('RGB')).astype(int)
    assert found.shape == wanted.shape
    assert np.abs(found - wanted).mean() < 3 and np.abs(found - wanted).max() < 30


@pytest.mark.parametrize('name', SKIPPED)
@pytest.mark.parametrize('task', TASKS)
def test_is_skipped_and_named_in_training(task, name, tmp_path):
    there = TASKS[task](tmp_path, saved(picture(), 'JPEG') if name == '16 bit' else SKIPPED[name], (WIDTH, HEIGHT))
    dataset = there.dataset()
    there.odd.write_bytes(SKIPPED[name])  # 16 bits among the files that are looked at first end the run
    for number, wanted in ((0, 0), (1, 1)):
        item = dataset[number, 7]
        batch = dict(item, data_samples=[item['data_samples']]) if 'data_samples' in item else item
        skipped = skipped_in(batch)
        assert len(skipped) == wanted and all('b.jpg' in line and '\n' not in line for line in skipped)
    assert item['inputs'].ndim == 3


@pytest.mark.parametrize('name', SKIPPED)
@pytest.mark.parametrize('task', list(TASKS)[1:])
def test_is_an_error_in_an_evaluation(task, name, tmp_path):
    with pytest.raises(UserError, match='b.jpg') as caught:
        TASKS[task](tmp_path, SKIPPED[name], (WIDTH, HEIGHT)).dataset(training=False)[1]
    assert '\n' not in str(caught.value)
