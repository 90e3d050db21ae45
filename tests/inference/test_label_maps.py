"""Label maps are written with the numbers of the data."""

import json

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

from mae_transfer.inference.label_maps import LabelMapWriter, numbering_of

CLASSES = ('road', 'field', 'water')


def config(**settings):
    dataset = dict(type='mae_transfer.LabelledScenes', **settings)
    return Config(dict(default_scope='mmseg', test_dataloader=dict(dataset=dict(type='X', dataset=dataset))))


@pytest.mark.parametrize(
    'settings, numbers, no_class',
    [
        ({}, [1, 2, 3], 0),
        (dict(reduce_zero_label=True), [1, 2, 3], 0),
        (dict(reduce_zero_label=False), [0, 1, 2], 255),
        (dict(label_values=(7, 255, 0)), [7, 255, 0], 65535),
        (dict(label_values=(10, 300, 20)), [10, 300, 20], 255),
    ],
)
def test_the_numbers_of_the_run(settings, numbers, no_class, tmp_path):
    writer = LabelMapWriter(tmp_path / 'maps', numbering_of(config(**settings), CLASSES))
    labels = np.random.default_rng(0).integers(0, 4, (9, 11))
    writer.add('a/b', labels)
    written = np.asarray(Image.open(tmp_path / 'maps/a/b.png'))
    assert np.array_equal(written, np.array([*numbers, no_class])[labels])
    writer.write_classes(tmp_path / 'classes.json', [[1, 2, 3]] * 3)
    content = json.loads((tmp_path / 'classes.json').read_text())
    assert [entry['number'] for entry in content['classes']] == numbers and content['no_class'] == no_class
    assert [entry['name'] for entry in content['classes']] == list(CLASSES)


def test_the_default_of_another_library():
    """MMSegmentation's data set of ADE20K begins at 1, that of Cityscapes at 0."""
    for kind, first in (('ADE20KDataset', 1), ('CityscapesDataset', 0)):
        cfg = Config(dict(default_scope='mmseg', test_dataloader=dict(dataset=dict(type=kind))))
        assert numbering_of(cfg, CLASSES).numbers.tolist() == [first, first + 1, first + 2]
