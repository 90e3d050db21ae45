"""Layer-wise learning-rate decay by depth, for classification, detection and segmentation."""

from __future__ import annotations

from collections import defaultdict

from mmengine.model import is_model_wrapper
from mmengine.optim import DefaultOptimWrapperConstructor, OptimWrapper
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm

from ..errors import UserError
from ..registry import OPTIM_WRAPPER_CONSTRUCTORS, OPTIM_WRAPPERS, OPTIMIZERS
from ..runs.console import log_to_file
from ..vit import ViT
from ..vit.depth import layer_scale

#: Values of ``no_decay_kind``.
NO_DECAY_KINDS = ('1d', 'norms', 'none')

_SETTINGS = ('layer_decay', 'no_decay_kind', 'no_decay_names', 'optimizer_1d')
_NORMS = (nn.LayerNorm, nn.GroupNorm, nn.RMSNorm, _BatchNorm, _InstanceNorm)


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class LayerDecayOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """Give each parameter of a model the learning rate of its depth and the weight decay of its kind.

    The model may contain ViTs at any place (``backbone.`` of a detector, ``vit.`` of an MAE, below ``module.`` of a
    wrapper). Their final norms, and all other parameters of the model, have the full learning rate.

    Args:
        optim_wrapper_cfg: wrapper with ``optimizer`` (with ``lr`` and ``weight_decay``).
        paramwise_cfg: any of these settings:

            - ``layer_decay``: ratio of the learning rates of a layer and the layer above; default 1.
            - ``no_decay_kind``: parameters without weight decay. ``'1d'``: those of one dimension, i.e. biases and
              norms (default; MAE, BEiT); ``'norms'``: those of norm layers, but not biases (ViTDet B and L);
              ``'none'`` (ViTDet H).
            - ``no_decay_names``: last parts of the names of further parameters without weight decay; default
              ``('pos_embed', 'cls_token')``, as in the official fine-tuning (``util/lr_decay.py``). The official
              pre-training has none, ``()``.
            - ``optimizer_1d``: settings of the optimiser for parameters of one dimension that differ from the others',
              e.g. ``dict(always_adapt=False)`` for LARS.

    Each group has ``lr_scale`` and ``param_names``; schedulers scale its ``lr`` from its own base value.

    Raises:
        UserError: ``layer_decay`` is not 1 but the model has no ViT; an unknown setting.
    """

    def __init__(self, optim_wrapper_cfg: dict, paramwise_cfg: dict | None = None):
        settings = paramwise_cfg or {}
        if unknown := sorted(set(settings) - set(_SETTINGS)):
            raise UserError(f"unknown paramwise_cfg '{unknown[0]}': choose from {', '.join(_SETTINGS)}")
        kind = settings.get('no_decay_kind', '1d')
        if kind not in NO_DECAY_KINDS:
            raise UserError(f"paramwise_cfg.no_decay_kind is one of {', '.join(NO_DECAY_KINDS)}; found '{kind}'")
        super().__init__(optim_wrapper_cfg, paramwise_cfg)

    def __call__(self, model: nn.Module) -> OptimWrapper:
        """Build the optimiser over the parameter groups of ``model``, wrapped."""
        if is_model_wrapper(model):
            model = model.get_submodule('module')
        groups = parameter_groups(model, self.base_lr, self.base_wd or 0.0, **self.paramwise_cfg)
        scales = sorted({group['lr_scale'] for group in groups})
        log_to_file(
            f'{len(groups)} parameter groups; factors on the learning rate, from the embeddings to the head: '
            + ', '.join(f'{scale:.4g}' for scale in scales)
        )
        optimizer = OPTIMIZERS.build(dict(self.optimizer_cfg, params=groups))
        return OPTIM_WRAPPERS.build(dict(self.optim_wrapper_cfg, optimizer=optimizer))


def parameter_groups(
    model: nn.Module,
    lr: float,
    weight_decay: float,
    layer_decay: float = 1.0,
    no_decay_kind: str = '1d',
    no_decay_names: tuple[str, ...] = ('pos_embed', 'cls_token'),
    optimizer_1d: dict | None = None,
) -> list[dict]:
    """The trainable parameters of a model, each in exactly one group; see
    :class:`LayerDecayOptimWrapperConstructor`."""
    vits = {name: module for name, module in model.named_modules() if isinstance(module, ViT)}
    if layer_decay != 1 and not vits:
        raise UserError(
            f'layer_decay={layer_decay} needs a mae_transfer.ViT in the model; found {type(model).__name__} without one'
        )
    in_norms: set[int] = set()
    for module in model.modules():
        if isinstance(module, _NORMS):
            in_norms.update(id(parameter) for parameter in module.parameters(recurse=False))
    groups: dict[tuple, dict] = defaultdict(lambda: dict(params=[], param_names=[]))
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        is_1d = parameter.ndim <= 1
        decays = not (
            name.rpartition('.')[2] in no_decay_names
            or (no_decay_kind == '1d' and is_1d)
            or (no_decay_kind == 'norms' and id(parameter) in in_norms)
        )
        decay = weight_decay if decays else 0.0
        scale = _lr_scale(name, vits, layer_decay)
        own_settings = optimizer_1d if is_1d and optimizer_1d else {}
        group = groups[scale, decay, bool(own_settings)]
        group.update(lr=lr * scale, weight_decay=decay, lr_scale=scale, **own_settings)
        group['params'].append(parameter)
        group['param_names'].append(name)
    return [groups[key] for key in sorted(groups)]


def _lr_scale(name: str, vits: dict[str, ViT], layer_decay: float) -> float:
    """Factor on the learning rate of a parameter of a model that contains ``vits``, which are given by name."""
    scale = 1.0
    for vit_name, vit in vits.items():
        prefix = f'{vit_name}.' if vit_name else ''
        if name.startswith(prefix):
            scale = layer_scale(name.removeprefix(prefix), vit.depth, layer_decay)
    return scale
