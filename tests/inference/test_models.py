"""inference/models.py: a run's model, or a ViT alone."""

from __future__ import annotations

import pytest
import torch

from mae_transfer.errors import UserError
from mae_transfer.inference.bare_vit import BareViT
from mae_transfer.inference.models import model_of
from mae_transfer.inference.trained import Trained, load

NOTHING = dict(arch=None, init=None)


def test_a_run_is_loaded_unless_it_is_said_to_be_a_vit_alone(runs):
    torch.manual_seed(0)
    folder = runs('classify').work_dir
    trained = model_of(folder, NOTHING, 'cpu')
    assert isinstance(trained, Trained) and trained.task == 'classify'
    assert model_of(trained, NOTHING) is trained
    width, depth, heads = (trained.vit.embed_dim, trained.vit.depth, trained.vit.blocks[0].attn.num_heads)
    alone = model_of(folder, dict(NOTHING, arch=f'{width}x{depth}x{heads}'))
    assert isinstance(alone, BareViT)
    for name, value in alone.vit.state_dict().items():
        assert torch.equal(value, trained.vit.state_dict()[name]), name


def test_a_loaded_model_takes_no_settings_of_a_vit_alone(runs):
    trained = load(runs('classify').work_dir, device='cpu')
    with pytest.raises(UserError, match='^arch, init of a trained model are those of its run: leave them out$'):
        model_of(trained, dict(arch='base', init='dinov2', mean=None))
