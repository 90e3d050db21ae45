"""The confusion matrix after a test, as a picture and a table."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from PIL import Image
from torch.utils.data import Dataset

from mae_transfer.hooks import ConfusionHook, confusion
from mae_transfer.registry import DATASETS, FUNCTIONS, MODELS
from mae_transfer.runner import StrictRunner
from mae_transfer.visualization.confusion import confusion_picture

LABELS, PREDICTED = [1, 1, 1, 3, 3], [1, 3, 3, 3, 1]
CLASSES = ('ant', 'bee', 'cat', 'dog, wet')


class Numbers(Dataset):
    """A data set whose items are their indices."""

    metainfo = dict(classes=CLASSES, present=(1, 3))

    def __len__(self):
        return len(LABELS)

    def __getitem__(self, index):
        return index


def collate_numbers(indices):
    return dict(inputs=torch.zeros(len(indices)), labels=torch.tensor(LABELS)[indices], indices=torch.tensor(indices))


class Oracle(BaseModel):
    """Predicts the labels in ``PREDICTED``."""

    def forward(self, inputs, labels, indices, mode):
        return [dict(scores=torch.eye(4)[PREDICTED[i]]) for i in indices.tolist()]


@pytest.fixture
def registered():
    """The classes above, registered while a test runs."""
    parts = [(DATASETS, Numbers), (MODELS, Oracle), (FUNCTIONS, collate_numbers)]
    for registry, part in parts:
        registry.register_module(module=part, force=True)
    yield
    for registry, part in parts:
        registry.module_dict.pop(part.__name__)


def config(work_dir: Path, **changes) -> Config:
    return Config(
        dict(
            dict(
                default_scope='mae_transfer',
                work_dir=str(work_dir),
                experiment_name=str(work_dir).replace('/', '_'),
                model=dict(type='Oracle'),
                test_dataloader=dict(
                    batch_size=2,
                    num_workers=0,
                    dataset=dict(type='Numbers'),
                    sampler=dict(type='DefaultSampler', shuffle=False),
                    collate_fn=dict(type='mae_transfer.collate_numbers'),
                ),
                test_cfg=dict(),
                test_evaluator=dict(type='Accuracy'),
                custom_hooks=[dict(type='ConfusionHook')],
                visualizer=dict(type='Visualizer', vis_backends=[dict(type='LocalVisBackend')]),
            ),
            **changes,
        )
    )


def test_a_picture_and_a_table_of_the_present_classes_are_written(tmp_path, registered):
    runner = StrictRunner.from_cfg(config(tmp_path))
    assert runner.test()['accuracy/mean_class'] == pytest.approx(100 * (1 / 3 + 1 / 2) / 2)
    folder = Path(runner.log_dir)
    with open(folder / 'confusion.csv', newline='') as file:
        assert list(csv.reader(file)) == [['true class', 'bee', 'dog, wet'], ['bee', '1', '2'], ['dog, wet', '1', '1']]
    expected = confusion_picture(np.array([[1, 2], [1, 1]]), ('bee', 'dog, wet'))
    assert np.array_equal(np.asarray(Image.open(folder / 'confusion.png')), expected)
    [shown] = folder.glob('vis_data/vis_image/confusion*.png')
    assert np.array_equal(np.asarray(Image.open(shown)), expected)
    [log] = folder.glob('*.log')
    assert f'confusion matrix: {folder}/confusion.png and confusion.csv' in log.read_text()


class FakeRunner:
    """A runner after a test, whose loop has these attributes."""

    def __init__(self, folder, **parts):
        self.log_dir, self.test_loop = folder, type('Loop', (), parts)()


@pytest.mark.parametrize(
    'parts', [{}, dict(evaluator=type('Evaluator', (), dict(metrics=[object()]))())], ids=['knn', 'other']
)
def test_nothing_is_written_without_accuracy(tmp_path, parts):
    ConfusionHook().after_test_epoch(FakeRunner(tmp_path, **parts), {})
    assert not list(tmp_path.iterdir())


def test_only_the_main_process_writes(tmp_path, monkeypatch):
    monkeypatch.setattr('mmengine.dist.utils.is_main_process', lambda *_: False)
    monkeypatch.setattr(confusion, 'confusion_picture', lambda *_: pytest.fail('drawn'))
    ConfusionHook().after_test_epoch(None, {})  # would fail if it used the runner
