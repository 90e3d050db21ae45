"""Tiny models, as if they had been trained."""

from __future__ import annotations

from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.registry import MODELS
from torch import nn

from mae_transfer.inference.tasks import task_of
from mae_transfer.inference.trained import Trained
from tests.helpers import enlarge, pretraining

SIZE, PATCH, GRID = 32, 8, (4, 4)


def trained(cfg: Config) -> Trained:
    """The model of a config, with values of all parameters that have an effect."""
    with MODELS.switch_scope_and_registry(cfg.default_scope) as models:
        model: nn.Module = enlarge(models.build(cfg.model)).eval()
    return Trained(model, cfg, task_of(cfg), Path('epoch_1.pth'), (), 'work_dirs/mae')


def vit_settings(**changes) -> dict:
    """A ViT of 4 x 4 patches, and two blocks of two heads."""
    arch = dict(embed_dim=16, depth=2, num_heads=2)
    return dict(dict(type='ViT', arch=arch, img_size=SIZE, patch_size=PATCH), **changes)


def mae(photos: Path, **changes) -> Trained:
    """An MAE of 4 x 4 patches; ``changes`` are of its model's settings. The photos are all held out."""
    torch.manual_seed(0)
    cfg = pretraining(photos, photos.parent / 'run')
    cfg.model.vit = vit_settings()
    cfg.model.update(changes)
    dataset = dict(type='Photos', data_root=str(photos), split='val', img_size=SIZE, hold_out=1.0)
    cfg.test_dataloader = dict(dataset=dataset)
    return trained(cfg)


def classifier() -> Trained:
    """A classifier of three classes."""
    torch.manual_seed(0)
    model = dict(
        type='ViTClassifier', num_classes=3, vit=vit_settings(), data_preprocessor=dict(type='LabelledPreprocessor')
    )
    return trained(Config(dict(default_scope='mae_transfer', model=model)))
