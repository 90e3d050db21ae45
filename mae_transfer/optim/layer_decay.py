"""Layer-wise learning-rate decay: one function of depth for classification, detection and segmentation."""

from __future__ import annotations

from collections import defaultdict

from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.optim import DefaultOptimWrapperConstructor, OptimWrapper
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm

from ..errors import UserError
from ..registry import OPTIM_WRAPPER_CONSTRUCTORS, OPTIM_WRAPPERS, OPTIMIZERS
from ..vit import ViT
from ..vit.depth import parameter_depth

#: Kinds of parameters that can be left without weight decay.
UNDECAYED = ('vectors', 'norms', 'nothing')
_NORMS = (nn.LayerNorm, nn.GroupNorm, nn.RMSNorm, _BatchNorm, _InstanceNorm)


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class LayerDecayOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """Give each parameter of a model the learning rate of its depth and the weight decay of its kind.

    The ViT is found wherever it is (``backbone.`` of a detector, ``vit.`` of an MAE, behind ``module.`` of a wrapper);
    parameters outside of it, and its final norm, have the full learning rate.

    Args:
        optim_wrapper_cfg: wrapper with ``optimizer`` (with ``lr`` and ``weight_decay``).
        paramwise_cfg: ``layer_decay``: factor from one layer to the layer below (1: none). ``no_decay``: last parts of
            the names of parameters of more than one dimension that are not decayed; default ``('pos_embed',
            'cls_token')``, as in the official fine-tuning (``util/lr_decay.py``); its pre-training passes ``()``.
            ``undecayed``: which kind of parameters is not decayed either: ``'vectors'``, those of one dimension, biases
            and norms (the default; MAE, BEiT); ``'norms'``, those of norm layers alone, so that biases are decayed
            (ViTDet B and L); or ``'nothing'`` (ViTDet H). ``vectors``: settings of the optimiser that are others for
            parameters of one dimension (LARS adapts matrices only: ``dict(always_adapt=False)``).

    Each group carries ``lr_scale`` and ``param_names``, and schedulers scale its ``lr`` from its own base.

    Raises:
        UserError: no ViT in the model while ``layer_decay`` is not 1; an unknown setting.
    """

    def __init__(self, optim_wrapper_cfg: dict, paramwise_cfg: dict | None = None):
        known = {'layer_decay', 'no_decay', 'undecayed', 'vectors'}
        if unknown := sorted(set(paramwise_cfg or {}) - known):
            raise UserError(
                f"unknown paramwise_cfg '{unknown[0]}': it takes layer_decay, no_decay, undecayed and vectors"
            )
        if (kind := (paramwise_cfg or {}).get('undecayed', 'vectors')) not in UNDECAYED:
            raise UserError(f"paramwise_cfg.undecayed is one of {', '.join(UNDECAYED)}; found '{kind}'")
        super().__init__(optim_wrapper_cfg, paramwise_cfg)

    def __call__(self, model: nn.Module) -> OptimWrapper:
        """Build the optimiser over the parameter groups of ``model``, wrapped."""
        if is_model_wrapper(model):
            model = model.module
        optimizer_cfg = dict(self.optimizer_cfg)
        groups = parameter_groups(model, self.base_lr, self.base_wd or 0.0, **self.paramwise_cfg)
        scales = sorted({group['lr_scale'] for group in groups})
        print_log(
            f'{len(groups)} parameter groups; scales of the learning rate, from the embeddings to the head: '
            + ', '.join(f'{scale:.4g}' for scale in scales),
            logger='current',
        )
        optimizer = OPTIMIZERS.build(dict(optimizer_cfg, params=groups))
        return OPTIM_WRAPPERS.build(dict(self.optim_wrapper_cfg, optimizer=optimizer))


def parameter_groups(
    model: nn.Module,
    lr: float,
    weight_decay: float,
    layer_decay: float = 1.0,
    no_decay: tuple[str, ...] = ('pos_embed', 'cls_token'),
    undecayed: str = 'vectors',
    vectors: dict | None = None,
) -> list[dict]:
    """The trainable parameters of a model, each in exactly one group; see
    :class:`LayerDecayOptimWrapperConstructor`."""
    vits = {name: module for name, module in model.named_modules() if isinstance(module, ViT)}
    if layer_decay != 1 and not vits:
        raise UserError(
            f'layer_decay={layer_decay} needs a mae_transfer.ViT in the model; found {type(model).__name__} without one'
        )
    top = max((vit.depth for vit in vits.values()), default=0) + 1
    of_norms = {
        id(p) for module in model.modules() if isinstance(module, _NORMS) for p in module.parameters(recurse=False)
    }
    groups: dict[tuple, dict] = defaultdict(lambda: dict(params=[], param_names=[]))
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        depth = top
        for prefix, vit in vits.items():
            if not prefix or name.startswith(prefix + '.'):
                depth = parameter_depth(name[len(prefix) + 1 if prefix else 0 :], vit.depth) + top - (vit.depth + 1)
        is_vector = parameter.ndim <= 1
        spared = {'vectors': is_vector, 'norms': id(parameter) in of_norms, 'nothing': False}[undecayed]
        decay = 0.0 if spared or name.rpartition('.')[2] in no_decay else weight_decay
        scale = layer_decay ** (top - depth)
        group = groups[scale, decay, is_vector and bool(vectors)]
        group.update(lr=lr * scale, weight_decay=decay, lr_scale=scale, **(vectors if is_vector and vectors else {}))
        group['params'].append(parameter)
        group['param_names'].append(name)
    return [groups[key] for key in sorted(groups)]
