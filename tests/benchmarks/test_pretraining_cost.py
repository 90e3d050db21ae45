"""Steps of every kind of pre-training, side by side."""

from __future__ import annotations

import pytest
import torch

from mae_transfer.benchmarks import pretraining_cost
from mae_transfer.benchmarks.pretrain_steps import share_weights, step_seconds, training_loss
from mae_transfer.errors import UserError
from tests.configs.recipes import CONFIGS
from tests.helpers import small_vit

NAMES = ('mae_pretrain', 'mocov3_pretrain', 'beit_pretrain', 'finetune')
TINY = ['image_size=32', 'arch=16x2x2']


@pytest.fixture(scope='module')
def built():
    return [pretraining_cost.build(str(CONFIGS / f'small/{name}_tin20.py'), TINY) for name in NAMES]


def test_every_kind_has_a_loss_with_gradients(built):
    for model, epochs in built:
        model.zero_grad()
        training_loss(model, torch.randn(4, 3, 32, 32))().backward()
        assert model.vit.blocks[0].attn.qkv.weight.grad.any() and epochs > 0


def test_the_models_take_turns(built):
    times = step_seconds([model for model, _ in built], 4, torch.float32, rounds=2)
    assert [len(seconds) for seconds in times] == [2] * 4 and min(map(min, times)) > 0


def test_frozen_weights_are_not_shared_with_trained_ones():
    models = [pretraining_cost.build(str(CONFIGS / f'small/{name}_tin20.py'), TINY)[0] for name in NAMES[:2]]
    share_weights(models)
    mae, moco = (model.vit for model in models)
    assert mae.blocks[0].mlp.fc1.weight is moco.blocks[0].mlp.fc1.weight
    assert mae.patch_embed.proj.weight.requires_grad and not moco.patch_embed.proj.weight.requires_grad


def test_the_table_has_ratios_per_image_and_of_the_whole():
    rows = pretraining_cost.table(
        ['mae', 'moco'], [[0.5, 0.1, 0.2], [0.8, 0.9, 0.7]], [1600, 300], batch=4
    ).splitlines()
    assert rows[2:] == ['| mae | 50 | 1.00 | 1600 | 1.00 |', '| moco | 200 | 4.00 | 300 | 0.75 |']


def test_other_models_are_refused():
    with pytest.raises(UserError, match='ViT is no pre-training'):
        training_loss(small_vit(), torch.zeros(2, 3, 32, 32))
