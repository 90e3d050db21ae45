"""A model wrapper of MMEngine's around PyTorch's ``fully_shard`` (FSDP2)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from mmengine.device import get_device
from mmengine.dist import broadcast
from mmengine.hooks import EMAHook, Hook
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper
from torch import nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard, register_fsdp_forward_method

from ..errors import UserError, is_whole
from ..registry import MODEL_WRAPPERS
from ..vit.block import Block
from .shards import shard_loaded_weights

_DTYPES = {'float32': None, 'bfloat16': torch.bfloat16, 'float16': torch.float16}


@MODEL_WRAPPERS.register_module()
class FullyShardedModel(nn.Module):
    """Divide parameters, gradients and optimiser state among the processes: each has a part of every tensor.

    Attention and MLP of each block of the ViT and of the decoder are gathered when they are computed, and given up
    again after that; what remains, a small part, is gathered for the whole step. Weights are initialised before they
    are divided. Names of parameters stay, and state dicts of whole tensors can be loaded.

    Args:
        module: the model, on its device; with blocks of :class:`~mae_transfer.vit.block.Block`.
        param_dtype: 'float32'; or that of autocast, 'bfloat16' or 'float16': the layers of blocks are gathered as the
            numbers that autocast makes of them, which halves what is sent, and evaluations run under autocast too.
            Shards, optimiser and averages of gradients stay in float32.
        reshard_after_forward: whether blocks are given up after the forward pass and gathered again for the backward
            pass: less memory, more to send.
        group: processes that divide the model among them, such as those of one machine, by their ranks; other groups
            have copies, and gradients are averaged over all. None: all processes are one group.

    Raises:
        UserError: another ``param_dtype``; processes that do not make whole groups; a model without such blocks.
    """

    def __init__(
        self,
        module: BaseModel,
        param_dtype: str = 'float32',
        reshard_after_forward: bool = True,
        group: int | None = None,
    ):
        super().__init__()
        if param_dtype not in _DTYPES:
            raise UserError(f"model_wrapper_cfg.param_dtype is one of {', '.join(_DTYPES)}; found '{param_dtype}'")
        self.dtype = _DTYPES[param_dtype]
        blocks = [part for part in module.modules() if isinstance(part, Block)]
        if not blocks:
            raise UserError(
                f'FullyShardedModel divides the blocks of a ViT, and {type(module).__name__} has none: choose '
                "model_wrapper_cfg.type='MMDistributedDataParallel'"
            )
        mesh = _mesh(group)
        module.init_weights()
        for tensor in module.state_dict().values():
            broadcast(tensor)
        # Norms and layer scale, which are small, stay with what is outside of blocks: float32, as under autocast.
        policy = MixedPrecisionPolicy(self.dtype, torch.float32, cast_forward_inputs=False)
        for block in blocks:
            layers = [block.attn, block.mlp]
            fully_shard(layers, mesh=mesh, mp_policy=policy, reshard_after_forward=reshard_after_forward)
        self.module = fully_shard(module, mesh=mesh)
        shard_loaded_weights(module)
        if hasattr(module, 'reconstruct'):  # which the pictures call in place of `forward`
            register_fsdp_forward_method(module, 'reconstruct')
            module.reconstruct = self._autocast()(module.reconstruct)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The model's own."""
        return self.module(*args, **kwargs)

    def _autocast(self) -> torch.autocast:
        """Other layers than those of blocks take what these give; a training step has the optimiser's autocast."""
        return torch.autocast(get_device(), self.dtype, enabled=self.dtype is not None)

    def train_step(self, data: dict | tuple | list, optim_wrapper: OptimWrapper) -> dict[str, torch.Tensor]:
        """The model's own; gradients are averaged in the last of several accumulated passes.

        Raises:
            UserError: ``param_dtype`` is not that of the optimiser's autocast, nor float32.
        """
        if self.dtype not in (None, getattr(optim_wrapper, 'dtype', None)):
            raise UserError(
                f'model_wrapper_cfg.param_dtype is {self.dtype}, and optim_wrapper.dtype another: set the first to '
                "'${optim_wrapper.dtype}', or 'float32'"
            )
        self.module.set_requires_gradient_sync(optim_wrapper.should_sync())
        return self.module.train_step(data, optim_wrapper)

    def val_step(self, data: dict | tuple | list) -> list:
        """The model's own; all processes must make as many of them."""
        with self._autocast():
            return self.module.val_step(data)

    def test_step(self, data: dict | tuple | list) -> list:
        """The model's own; all processes must make as many of them."""
        with self._autocast():
            return self.module.test_step(data)


def _mesh(group: int | None) -> DeviceMesh:
    """The processes: in a row, or as rows of groups."""
    world = torch.distributed.get_world_size()
    if group is None:
        return init_device_mesh(get_device(), (world,))
    if not is_whole(group, 1) or world % group:
        raise UserError(
            f'model_wrapper_cfg.group is a number of processes that divides all {world}, or None; found {group!r}'
        )
    return init_device_mesh(get_device(), (world // group, group), mesh_dim_names=('copies', 'shards'))


def check_hooks(model: nn.Module, hooks: Iterable[Hook]) -> None:
    """Raise ``UserError`` for a hook that needs the whole model in each process, where it is divided."""
    if isinstance(model, FullyShardedModel) and any(isinstance(hook, EMAHook) for hook in hooks):
        raise UserError(
            'averaged weights are a copy of the whole model, which FullyShardedModel divides: set '
            "default_hooks.ema=None, or choose model_wrapper_cfg.type='MMDistributedDataParallel'"
        )
