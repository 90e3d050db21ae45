"""The model and the optimiser of a config with random images, without data and runner: on real or on fake tensors."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, OPTIM_WRAPPERS, DefaultScope
from torch import nn

from ..errors import UserError
from ..kinds import is_kind
from ..optim.autocast import DTYPES, AutocastOptimWrapper
from ..pretraining.masked_model import MaskedModel
from ..vit import ViT
from ..vit.of_model import vit_of
from .losses import training_loss


def build_model(cfg: Config) -> nn.Module:
    """The model of a config as it is trained, for one process; its weights are not loaded."""
    with MODELS.switch_scope_and_registry(cfg.get('default_scope')) as registry:
        model = revert_sync_batchnorm(registry.build(cfg.model)).train()
    if isinstance(model, MaskedModel):
        model.target.ready = True  # a target that was not fitted costs the same
    return model


class Training:
    """Steps of a model.

    Args:
        cfg: of the model.
        model: from :func:`build_model`, on its device.
        batch: images of a forward pass.

    Attributes:
        images: (B, C, H, W).
        wrapper: the optimiser, with the config's groups of parameters and its clipping.

    Raises:
        UserError: a model of a kind that is not known, or without a ViT of ours; a size of images that is not known.
    """

    def __init__(self, cfg: Config, model: nn.Module, batch: int):
        vit = vit_of(model)
        if vit is None:
            raise UserError(
                f'{cfg.filename}: {type(model).__name__} has no ViT of ours: what a step needs is not known'
            )
        self.model = model
        self.wrapper = _optim_wrapper(cfg, model)
        device = next(model.parameters()).device
        self.images = torch.randn(batch, vit.in_channels, *_image_size(cfg, model, vit), device=device)
        self._loss = training_loss(model, self.images)
        self._dtype = _dtype(cfg)

    def update_all_at_once(self) -> None:
        """Have the optimiser update all parameters of a group at once, as PyTorch chooses on a GPU: it then needs
        temporaries of their size."""
        for group in self.wrapper.optimizer.param_groups:
            if 'foreach' in group and group['foreach'] is None and not group.get('fused'):
                group['foreach'] = True

    def forward_and_backward(self) -> None:
        """A forward and backward pass, which adds to the gradients."""
        with torch.autocast(self.images.device.type, self._dtype, enabled=self._dtype is not torch.float32):
            loss = self._loss()
        # `loss.backward()` asks `GPUKernels` first, and is then run without it; the engine itself does not ask.
        torch.autograd.Variable._execution_engine.run_backward(
            (loss,), (torch.ones_like(loss),), False, False, (), allow_unreachable=True, accumulate_grad=True
        )


def _dtype(cfg: Config) -> torch.dtype:
    """That of the config's autocast; float32 without."""
    wrapper = cfg.optim_wrapper
    if not is_kind(wrapper, OPTIM_WRAPPERS, cfg.get('default_scope'), AutocastOptimWrapper):
        return torch.float32
    return DTYPES[wrapper.get('dtype', 'bfloat16')]


def _image_size(cfg: Config, model: nn.Module, vit: ViT) -> tuple[int, int]:
    """(height, width) of the images of a training step, in pixels, padded to whole patches.

    Raises:
        UserError: a config of detection without the setting ``image_size``.
    """
    if getattr(model, 'with_neck', None) is None and not hasattr(model, 'backbone'):
        return vit.grid[0] * vit.patch_size, vit.grid[1] * vit.patch_size
    # Positions of a backbone are resized to its images: those of dense tasks are padded to one size.
    size = getattr(model.data_preprocessor, 'size', None) or cfg.get('image_size')
    if size is None:
        raise UserError(f'{cfg.filename}: the size of its images is not known: give it as the setting image_size')
    height, width = (size, size) if isinstance(size, int) else size
    return height, width


def _optim_wrapper(cfg: Config, model: nn.Module) -> AutocastOptimWrapper:
    """The config's optimiser, in float32 and without accumulation."""
    settings, scope = cfg.optim_wrapper, cfg.get('default_scope')
    kept = {key: settings[key] for key in ('constructor', 'paramwise_cfg', 'clip_grad') if settings.get(key)}
    optimizer = {'lr': 1e-3, **settings['optimizer']}
    kept.update(type='mae_transfer.AutocastOptimWrapper', dtype='float32', optimizer=optimizer)
    with DefaultScope.overwrite_default_scope(scope):
        wrapper: Any = build_optim_wrapper(model, kept)
    return wrapper
