"""Labelled images are normalised, erased and mixed."""

import random

import numpy as np
import pytest
import torch
from timm.data import Mixup

from mae_transfer.classify import LabelledPreprocessor
from mae_transfer.errors import UserError

MIXUP = dict(mixup_alpha=0.8, cutmix_alpha=1.0, prob=1.0, switch_prob=0.5)


def batch(count: int = 4, side: int = 16) -> dict:
    generator = torch.Generator().manual_seed(0)
    return dict(
        inputs=torch.randint(0, 256, (count, 3, side, side), generator=generator, dtype=torch.uint8),
        labels=torch.arange(count),
        indices=torch.arange(count),
        skipped=[],
    )


def seed():
    random.seed(0), np.random.seed(0), torch.manual_seed(0)


def test_images_are_normalised_and_labels_kept():
    data = LabelledPreprocessor(5)(batch(), training=True)
    mean, std = torch.tensor([123.675, 116.28, 103.53]), torch.tensor([58.395, 57.12, 57.375])
    assert torch.allclose(data['inputs'], (batch()['inputs'] - mean.view(3, 1, 1)) / std.view(3, 1, 1))
    assert torch.equal(data['labels'], torch.arange(4)) and set(data) == {'inputs', 'labels'}


def test_images_are_mixed_as_timm_does():
    seed()
    data = LabelledPreprocessor(5, mixup=MIXUP)(batch(), training=True)
    plain = LabelledPreprocessor(5)(batch())
    seed()
    inputs, labels = Mixup(**MIXUP, num_classes=5, label_smoothing=0.0)(plain['inputs'].clone(), plain['labels'])
    assert torch.equal(data['inputs'], inputs) and torch.equal(data['labels'], labels)
    assert not torch.equal(data['inputs'], plain['inputs'])
    assert data['labels'].shape == (4, 5) and torch.allclose(data['labels'].sum(1), torch.ones(4))


def test_a_rectangle_of_noise_replaces_a_part_of_some_normalised_images():
    seed()
    plain = LabelledPreprocessor(5)(batch(64))['inputs']
    erased = LabelledPreprocessor(5, erasing=dict(probability=0.25, mode='pixel'))(batch(64), training=True)['inputs']
    changed = (erased != plain).flatten(1).any(1)
    assert 5 <= changed.sum() <= 28
    noise = erased[erased != plain]
    assert noise.mean().abs() < 0.1 and noise.std().item() == pytest.approx(1, abs=0.1)


def test_nothing_is_mixed_or_erased_in_evaluation():
    plain = LabelledPreprocessor(5)(batch())
    data = LabelledPreprocessor(5, erasing=dict(probability=1.0, mode='pixel'), mixup=MIXUP)(batch(), training=False)
    assert torch.equal(data['inputs'], plain['inputs']) and torch.equal(data['labels'], plain['labels'])


def test_an_odd_number_of_images_cannot_be_mixed():
    with pytest.raises(
        UserError, match='pair the images of a batch; found 3 images: choose an even train_dataloader.batch_size'
    ):
        LabelledPreprocessor(5, mixup=MIXUP)(batch(3), training=True)
    assert len(LabelledPreprocessor(5, mixup=MIXUP)(batch(3), training=False)['inputs']) == 3
