"""Features of the ViT that a pre-training trains."""

from __future__ import annotations

import pytest
import torch
from mmengine.model import BaseModel
from torch import nn

from mae_transfer.errors import UserError
from mae_transfer.learning.frozen_vit import FrozenViT, SomePhotos
from tests.helpers import enlarge, small_vit


class Model(BaseModel):
    def __init__(self, vit: nn.Module) -> None:
        super().__init__()
        self.vit = vit

    def forward(self, inputs):
        return inputs


def model_of(**settings) -> Model:
    torch.manual_seed(0)
    return Model(enlarge(small_vit(depth=1, **settings)))


def test_features_are_the_class_token_or_the_mean_of_the_patches():
    model, images = model_of().eval(), torch.rand(2, 3, 16, 16)
    tokens = model.vit.tokens(images)
    assert torch.equal(FrozenViT(model).features(images), tokens[:, 0])
    assert torch.equal(FrozenViT(model, 'class_token').features(images), tokens[:, 0])
    assert torch.equal(FrozenViT(model, 'patch_mean').features(images), tokens[:, 1:].mean(1))


def test_a_vit_without_a_class_token_has_the_mean():
    model, images = model_of(class_token=False).eval(), torch.rand(2, 3, 16, 16)
    assert torch.equal(FrozenViT(model).features(images), model.vit.tokens(images).mean(1))
    with pytest.raises(UserError, match='no class token'):
        FrozenViT(model, 'class_token')


def test_it_shares_the_weights():
    model = model_of()
    assert {*map(id, FrozenViT(model).parameters())} == {*map(id, model.vit.parameters())}


def test_a_model_without_a_vit_is_refused():
    with pytest.raises(UserError, match='Linear has none: set default_hooks.learning=None'):
        FrozenViT(nn.Linear(1, 1))


def test_some_photos_are_always_the_same_and_have_one_class():
    photos = [dict(inputs=torch.full((3, 2, 2), number), skipped=[]) for number in range(20)]
    chosen = SomePhotos(photos, 5)
    values = [item['inputs'][0, 0, 0].item() for item in chosen]
    assert len(chosen) == len({*values}) == 5 and values == sorted(values) and values != [0, 1, 2, 3, 4]
    assert [item['indices'] for item in chosen] == [0, 1, 2, 3, 4] and {item['labels'] for item in chosen} == {0}
    assert len(SomePhotos(photos, 100)) == 20
    assert values == [item['inputs'][0, 0, 0].item() for item in SomePhotos(photos, 5)]


def test_two_views_of_a_photo_are_refused():
    with pytest.raises(UserError, match=r'an item of list is \(2, 3, 4, 4\): set default_hooks.learning.photos'):
        SomePhotos([dict(inputs=torch.zeros(2, 3, 4, 4))], 5)
