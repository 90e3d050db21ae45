"""What the tests of the COCO and of the ADE20K configs share: a config at small size on tiny data, and what any of them
must do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper, build_optim_wrapper
from mmengine.registry import MODELS
from mmengine.runner import Runner
from torch import nn

from mae_transfer.compat.distributed import adapt_to_cpu
from mae_transfer.vit import ViT

CONFIGS = Path(__file__).parents[2] / 'configs'
SMALL_VIT = dict(arch=dict(embed_dim=32, depth=4, num_heads=2), patch_size=16)


def load(name: str) -> Config:
    """A config of the dense transfers by its name."""
    return Config.fromfile(CONFIGS / f'{name}.py')


def strings(node) -> Iterator[str]:
    """Every string in a config."""
    if isinstance(node, str):
        yield node
    elif isinstance(node, dict):
        for value in node.values():
            yield from strings(value)
    elif isinstance(node, (list, tuple)):
        for value in node:
            yield from strings(value)


def draw(path: Path, height: int, width: int, channels: int = 3, high: int = 256) -> None:
    """A noisy image, or, with one channel, a map of labels below ``high``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(height).integers(
        0, high, (height, width, channels)[: 2 + (channels > 1)], dtype=np.uint8
    )
    assert cv2.imwrite(str(path), pixels)


def reduce(cfg: Config, root: str, pretrained: str, sizes: dict[tuple, tuple], settings: dict | None = None) -> Config:
    """The config with small sizes, its data in ``root``, ready for a machine without a GPU.

    Args:
        cfg: as :func:`load` gives it.
        root: the data's folder, with a slash at its end.
        pretrained: file to start from, or 'none'.
        sizes: (height, width) of the config to those that replace it wherever it stands.
        settings: further changes, as for ``Config.merge_from_dict``; a ViT of :data:`SMALL_VIT` comes first.
    """

    def shrink(node):
        if isinstance(node, dict):
            return {key: shrink(value) for key, value in node.items()}
        if isinstance(node, tuple) and node in sizes:
            return sizes[node]
        if isinstance(node, (list, tuple)):
            return type(node)(shrink(value) for value in node)
        if isinstance(node, str):
            for old, new in [(cfg.data_root, root), (cfg.pretrained, pretrained)]:
                if node.startswith(old):
                    return new + node[len(old) :]
        return node

    cfg = Config(shrink(cfg.to_dict()))
    # Four blocks: a tap at each where the recipe has four, and the last where it has one.
    cfg.model.backbone.update(SMALL_VIT, out_indices=tuple(range(4))[-len(cfg.model.backbone.out_indices) :])
    cfg.model.neck.embed_dim = 32
    cfg.merge_from_dict(settings or {})
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        loader.update(num_workers=0, persistent_workers=False)
    cfg.optim_wrapper.optimizer.lr = cfg.base_lr * cfg.total_batch_size / 256
    adapt_to_cpu(cfg)
    return cfg


def build(cfg: Config) -> tuple[nn.Module, OptimWrapper]:
    """Model, with its initial weights, and optimiser of a config; always the same."""
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    model.init_weights()
    return model, build_optim_wrapper(model, cfg.optim_wrapper)


def first_batch(cfg: Config) -> dict:
    """The first batch of the training data, before the model's preprocessor."""
    return next(iter(Runner.build_dataloader(cfg.train_dataloader, seed=0)))


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
    assert (first - before).abs().max().item() == pytest.approx(cfg.optim_wrapper.optimizer.lr * scale, rel=0.05)
    return model


def judge_one_image(model: nn.Module, cfg: Config):
    """One step of testing: the model's prediction for the first image, and the sizes (height, width) that the ViT
    saw."""
    seen = []
    handle = model.backbone.register_forward_pre_hook(lambda module, args: seen.append(tuple(args[0].shape[2:])))
    model.eval()
    with torch.no_grad():
        (sample,) = model.test_step(next(iter(Runner.build_dataloader(cfg.val_dataloader))))
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
    source = ViT(**dict(dict(img_size=224, class_token=True), **dict(SMALL_VIT, **settings)))
    torch.nn.init.normal_(source.pos_embed)
    torch.save(dict(model=source.state_dict()), path)
    return source.state_dict()
