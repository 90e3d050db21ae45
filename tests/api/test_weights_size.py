"""The size of a ViT, read from its weights."""

import pytest
import torch
from mmengine.config import Config

from mae_transfer.api.weights_size import WeightsSize, size_of_weights
from mae_transfer.errors import UserError
from mae_transfer.vit import ViT
from tests.helpers import small_vit


def save(path, vit, model=None):
    """Weights as a run writes them, with the config of its model."""
    meta = {} if model is None else dict(cfg=Config(dict(model=model)).pretty_text)
    torch.save(dict(state_dict={f'vit.{name}': value for name, value in vit.state_dict().items()}, meta=meta), path)
    return path


def test_the_heads_are_those_of_the_run(tmp_path):
    vit = small_vit()
    for model in (
        dict(type='MAE', vit=dict(arch='16x4x2')),
        dict(backbone=dict(arch=dict(embed_dim=16, depth=4, num_heads=2))),
    ):
        assert size_of_weights(save(tmp_path / 'vit.pth', vit, model)) == WeightsSize('16x4x2', 4)


def test_a_size_of_the_table_is_known_without_a_run(tmp_path):
    with torch.device('meta'):
        shapes = ViT(arch='tiny', img_size=32, patch_size=8).state_dict()
    weights = {name: torch.zeros(value.shape) for name, value in shapes.items()}
    torch.save(weights, tmp_path / 'tiny.pth')
    assert size_of_weights(tmp_path / 'tiny.pth') == WeightsSize('tiny', 8)


@pytest.mark.parametrize('model', [None, dict(arch='32x4x2'), dict(arch='resnet50'), dict(arch=3)])
def test_heads_that_nothing_tells_are_asked_for(model, tmp_path):
    path = save(tmp_path / 'vit.pth', small_vit(), model)
    with pytest.raises(UserError, match="vit.pth is a ViT of width 16 and depth 4, and no .* give arch='16x4xHEADS'"):
        size_of_weights(path)


def test_what_is_no_vit_is_one_line(tmp_path):
    with pytest.raises(UserError, match="no checkpoint file or work_dir '.*none'"):
        size_of_weights(tmp_path / 'none')
    torch.save(dict(weight=torch.zeros(3)), tmp_path / 'other.pth')
    with pytest.raises(UserError, match='other.pth: no ViT in the weights'):
        size_of_weights(tmp_path / 'other.pth')
