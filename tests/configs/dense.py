"""What the tests of the COCO and of the ADE20K configs share: a config at small size on tiny data, and what any of them
must do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.optim import OptimWrapper, build_optim_wrapper
from mmengine.registry import MODELS
from torch import nn

from mae_transfer.optim.batch_plan import plan_of
from mae_transfer.runner import StrictRunner
from mae_transfer.settings import change_settings
from mae_transfer.vit import ViT
from tests.configs.recipes import LOADERS, load, places, setting

SMALL_ARCH = '32x4x2'


def draw(path: Path, height: int, width: int, channels: int = 3, high: int = 256) -> None:
    """A noisy image, or, with one channel, a map of labels below ``high``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(height).integers(
        0, high, (height, width, channels)[: 2 + (channels > 1)], dtype=np.uint8
    )
    assert cv2.imwrite(str(path), pixels)


def reduce(name: str, root: str, pretrained: str, changes: dict[str, Any]) -> Config:
    """A config with small sizes, its data in ``root``.

    Args:
        name: the config's name.
        root: the data's folder.
        pretrained: file to start from, or 'none'.
        changes: further settings by their dotted keys; a ViT of :data:`SMALL_ARCH` comes first, whose four blocks have
            a tap each where the recipe has four.
    """
    first = {'data_root': root, 'pretrained': pretrained, 'model.backbone.arch': SMALL_ARCH}
    for loader in LOADERS:
        first[f'{loader}.num_workers'] = 0
        first[f'{loader}.dataset.serialize_data'] = False  # which collects garbage: .2 s
    return change_settings(load(name), list({**first, **changes}.items()))


def build_model(settings: dict) -> nn.Module:
    """A model with its initial weights, always the same; SyncBN is BN, as on a CPU."""
    torch.manual_seed(0)
    model = revert_sync_batchnorm(MODELS.build(settings))
    model.init_weights()
    return model


def build(cfg: Config) -> tuple[nn.Module, OptimWrapper]:
    """Model and optimiser of a config, on so many GPUs that nothing is accumulated."""
    model = build_model(cfg.model)
    plan = plan_of(cfg, cfg.total_batch_size // cfg.train_dataloader.batch_size)
    return model, build_optim_wrapper(model, plan.adapt_optim_wrapper(cfg.optim_wrapper))


def first_batch(cfg: Config) -> dict:
    """The first batch of the training data, before the model's preprocessor."""
    return next(iter(StrictRunner.build_dataloader(cfg.train_dataloader, seed=0)))


def train_one_step(cfg: Config) -> nn.Module:
    """One step of training; asserts that losses and gradients are finite, reach every parameter and move the first
    block.

    Returns:
        The model after it.
    """
    model, wrapper = build(cfg)
    # Before the step, because it clears the gradients that it has used.
    batch = first_batch(cfg)
    with wrapper.optim_context(model):
        data = model.data_preprocessor(batch, training=True)
        losses = model(**data, mode='loss')
    total, logged = model.parse_losses(losses)
    assert all(value.isfinite() for value in logged.values()), logged
    total.backward()
    assert {name for name, p in model.named_parameters() if p.grad is None or not p.grad.isfinite().all()} == set()
    assert model.backbone.blocks[0].attn.qkv.weight.grad.abs().sum() > 0
    model.zero_grad()

    first = model.backbone.blocks[0].attn.qkv.weight
    before = first.detach().clone()
    model.train_step(batch, wrapper)
    # Adam's first step is lr * sign of the gradient, and the block lies four layers below the heads.
    scale = cfg.optim_wrapper.paramwise_cfg.layer_decay**4
    lr = cfg.base_lr * cfg.total_batch_size / 256
    assert (first - before).abs().max().item() == pytest.approx(lr * scale, rel=0.05)
    return model


def judge_one_image(model: nn.Module, cfg: Config):
    """One step of testing: the model's prediction for the first image, and the sizes (height, width) that the ViT
    saw."""
    seen = []
    handle = model.backbone.register_forward_pre_hook(lambda module, args: seen.append(tuple(args[0].shape[2:])))
    model.eval()
    with torch.no_grad():
        (sample,) = model.test_step(next(iter(StrictRunner.build_dataloader(cfg.val_dataloader))))
    handle.remove()
    return sample, seen


@contextmanager
def dtypes_of(**modules: nn.Module) -> Iterator[dict[str, set]]:
    """The types of the tensors that modules give while the context is open, by the names that the arguments have."""
    seen: dict[str, set] = {name: set() for name in modules}

    def note(name):
        def hook(module, args, output):
            outputs = output if isinstance(output, (tuple, list)) else (output,)
            seen[name] |= {tensor.dtype for tensor in outputs}

        return hook

    handles = [module.register_forward_hook(note(name)) for name, module in modules.items()]
    yield seen
    for handle in handles:
        handle.remove()


def official_file(path: Path, **settings) -> dict[str, torch.Tensor]:
    """Write a pre-training as the official code does (under 'model', positions for 224 x 224, a class token); gives its
    weights."""
    source = ViT(**dict(dict(arch=SMALL_ARCH, img_size=224, patch_size=16), **settings))
    torch.nn.init.normal_(source.pos_embed)
    torch.save(dict(model=source.state_dict()), path)
    return source.state_dict()


def check_that_paths_follow(name: str, relative: set[str]) -> Config:
    """Assert that data and weights move with ``data_root`` and ``pretrained``, and that no other path is stated.

    Args:
        relative: the paths below the data's folder.

    Returns:
        The config with both in another place.
    """
    cfg = load(name)
    moved = change_settings(cfg, ['data_root=another/folder', 'pretrained=other/weights.pth'])
    assert moved.model.backbone.init_cfg == dict(type='Pretrained', checkpoint='other/weights.pth')
    for loader in LOADERS:
        assert moved[loader].dataset.data_root == 'another/folder'
    for old in (cfg.data_root, cfg.pretrained):
        assert places(cfg.to_dict(), old) and not places(moved.to_dict(), old)
    paths = places(moved.to_dict(), '/') - places(moved.to_dict(), 'another/folder') - {'filename'}
    texts = {str(setting(moved, place)) for place in paths}
    assert texts == relative | {'other/weights.pth'}
    return moved
