"""Damaged and odd label maps are read right, or refused in one line; none hangs or passes with nothing to learn."""

from __future__ import annotations

import time
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mae_transfer.data.label_maps.labelled_scenes import LabelledScenes
from mae_transfer.errors import UserError
from tests.data.label_maps.mutations import Mutation, mutate_label_map

CLASSES = ('road', 'field')
NUMBERS = np.array([[0, 1, 2, 1, 0], [2, 2, 1, 0, 0], [1, 1, 2, 2, 1], [0, 0, 1, 1, 2]], np.uint8)
LABELS = np.where(NUMBERS == 0, 255, NUMBERS - 1)


def read(root: Path) -> np.ndarray:
    """The labels of the first image."""
    dataset = LabelledScenes(
        data_root=str(root),
        metainfo=dict(classes=CLASSES),
        data_prefix=dict(img_path='images', seg_map_path='labels'),
        pipeline=[dict(type='mmcv.LoadImageFromFile'), dict(type='mae_transfer.LoadLabels')],
        serialize_data=False,
    )
    return dataset[0]['gt_seg_map']


def judge(mutation: Mutation, root: Path) -> str:
    """How a mutation ended: 'read' or 'refused'; fails if neither is right."""
    start = time.monotonic()
    try:
        labels = read(root)
    except UserError as error:
        assert '\n' not in str(error) and str(root) in str(error), f'{mutation.what}: {error}'
        assert not mutation.right or mutation.numbers is None, f'{mutation.what}: refused though it is right: {error}'
        return 'refused'
    finally:
        assert time.monotonic() - start < 10, mutation.what
    assert mutation.right, f'{mutation.what}: read though it is wrong'
    assert labels.shape == NUMBERS.shape and set(labels.ravel().tolist()) - {255} <= {0, 1}, mutation.what
    assert (labels != 255).any(), f'{mutation.what}: nothing is learnt'
    if mutation.path.suffix == '.png' and mutation.numbers is None:
        assert np.array_equal(labels, LABELS), f'{mutation.what}: its check sum tells the damage'
    if mutation.numbers is not None:
        assert np.array_equal(labels, np.where(mutation.numbers % 255 == 0, 255, mutation.numbers - 1)), mutation.what
    return 'read'


def mutate(count: int, seed: int, folder: Path) -> Counter:
    """How many of ``count`` mutations were read and refused."""
    ends: Counter[str] = Counter()
    for number in range(count):
        rng = np.random.default_rng((seed, number))
        root = folder / str(number)
        for kind in ('images', 'labels'):
            (root / kind).mkdir(parents=True)
        Image.new('RGB', NUMBERS.shape[::-1], (90, 120, 30)).save(root / 'images/a.png')
        Image.fromarray(NUMBERS).save(root / 'labels/a.png')
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # Pillow's, of damaged files
            ends[judge(mutate_label_map(root / 'labels/a.png', rng), root)] += 1
    return ends


def test_200_mutations(tmp_path):
    ends = mutate(200, 12, tmp_path)
    assert ends['read'] > 30 and ends['refused'] > 80


@pytest.mark.slow
def test_5000_mutations(tmp_path):
    ends = mutate(5000, 0, tmp_path)
    assert ends['read'] + ends['refused'] == 5000
