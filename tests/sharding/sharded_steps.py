"""What processes do that divide a small MAE among them; each writes what it found: see test_fully_sharded_model.py."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import torch
from mmengine.hooks import EMAHook
from mmengine.registry import init_default_scope
from torch import distributed, nn
from torch.distributed.tensor import DTensor
from torch.distributed.tensor.debug import CommDebugMode
from torch.utils.data import DataLoader

from mae_transfer.classify.features import extract_features
from mae_transfer.errors import UserError
from mae_transfer.optim import LayerDecayOptimWrapperConstructor
from mae_transfer.pretraining import MAE
from mae_transfer.registry import MODELS
from mae_transfer.runs.resuming import load_optimizer
from mae_transfer.runs.saving import on_cpu
from mae_transfer.sharding import FullyShardedModel
from mae_transfer.sharding.fully_sharded_model import check_hooks
from mae_transfer.sharding.shards import are_finite, has_shards, take_part, whole
from tests.helpers import enlarge

BATCH = 36  # of all processes together


def mae(**vit: Any) -> MAE:
    """Rows that two and three processes do not share evenly: widths of 28, class tokens of one."""
    settings = dict(
        type='MAE',
        vit=dict(type='ViT', arch='28x2x2', img_size=16, patch_size=4, **vit),
        masking=dict(type='RandomMasking', ratio=0.75),
        decoder=dict(type='MAEDecoder', embed_dim=20, depth=1, num_heads=2),
        target=dict(type='NormalizedPixelTarget'),
        data_preprocessor=dict(type='PhotoPreprocessor'),
    )
    return enlarge(MODELS.build(settings))


def sharded(model: MAE | None = None, **settings: Any) -> FullyShardedModel:
    """Divided among all processes; of four, in two groups of two."""
    group = 2 if distributed.get_world_size() == 4 else None
    return FullyShardedModel(mae() if model is None else model, group=group, **settings)


def optimizer(model: nn.Module, dtype: str = 'float32', **settings: Any) -> Any:
    # A large epsilon, or the rounding errors that are the gradients of the keys' biases would become whole steps.
    cfg = dict(type='AutocastOptimWrapper', dtype=dtype, optimizer=dict(type='AdamW', lr=0.03, eps=1e-2))
    return LayerDecayOptimWrapperConstructor(deepcopy(dict(cfg, **settings)), dict(layer_decay=0.9))(model)


def data(rank: int | None, part: int = 0, parts: int = 1) -> dict:
    """A part of the global batch: that of a process, or of all processes for None."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (BATCH, 3, 16, 16), generator=generator, dtype=torch.uint8)
    own = torch.arange(BATCH).chunk(parts)[part]
    own = own if rank is None else own[rank :: distributed.get_world_size()]
    return dict(inputs=images[own], seeds=own)


def state(model: nn.Module) -> dict[str, torch.Tensor]:
    """The weights as one process would write them, on all."""
    model = getattr(model, 'module', model)
    return {name: whole(value.detach()).clone() for name, value in model.state_dict().items()}


def trained(model: nn.Module, wrapper: Any, rank: int | None, steps: int = 3, parts: int = 1) -> list[float]:
    """Train; returns the norms of the gradients, and leaves the weights in ``model``."""
    norms = []
    for _ in range(steps):
        for part in range(parts):
            model.train_step(data(rank, part, parts), wrapper)
        norms.append(float(wrapper.grad_norm))
    return norms


# What is found: each function returns it, and is named as the test of it ----------------------------------------------


def names(rank: int) -> dict:
    plain, own = mae(), sharded()
    assert has_shards(own) and not has_shards(plain)
    groups = [[group['param_names'] for group in optimizer(model).optimizer.param_groups] for model in (plain, own)]
    held = sum(parameter.to_local().numel() for parameter in own.parameters())
    return dict(
        names=list(own.module.state_dict()) == list(plain.state_dict()),
        shapes=[v.shape for v in own.module.state_dict().values()] == [v.shape for v in plain.state_dict().values()],
        values=all(torch.equal(a, b) for a, b in zip(state(own).values(), state(plain).values())),
        groups=groups[0] == groups[1],
        held=held,
        all=sum(parameter.numel() for parameter in plain.parameters()),
    )


def steps(rank: int) -> dict:
    """Three steps, next to one process with all images; also clipped, and with accumulation."""
    found = {}
    for name, parts, settings in (
        ('plain', 1, {}),
        ('clipped', 1, dict(clip_grad=dict(max_norm=0.05))),
        ('clipped by value', 1, dict(clip_grad=dict(type='value', clip_value=0.001))),
        ('accumulated', 3, dict(accumulative_counts=3)),
    ):
        alone, own = mae(), sharded()
        expected = trained(alone, optimizer(alone, **settings), None, parts=parts)
        norms = trained(own, optimizer(own, **settings), rank, parts=parts)
        difference = max(float((a - b).abs().max()) for a, b in zip(state(own).values(), state(alone).values()))
        moved = max(float((a - b).abs().max()) for a, b in zip(state(own).values(), state(mae()).values()))
        found[name] = dict(expected=expected, norms=norms, difference=difference, moved=moved)
    return found


def communication(rank: int) -> dict:
    """Collective calls of the two passes of a step that is accumulated."""
    own = sharded()
    wrapper = optimizer(own, accumulative_counts=2)
    counts = []
    for part in range(2):
        with CommDebugMode() as calls:
            own.train_step(data(rank, part, 2), wrapper)
        counts.append({str(name).rpartition('.')[2]: count for name, count in calls.get_comm_counts().items()})
    return dict(first=counts[0], second=counts[1])


def skipped(rank: int) -> dict:
    """A step whose gradients are not finite on one process."""
    found = {}
    for dtype in ('float32', 'float16'):
        own = sharded()
        wrapper = optimizer(own, dtype)
        if dtype == 'float16':
            wrapper.scaler.load_state_dict(dict(wrapper.scaler.state_dict(), scale=128.0))
        trained(own, wrapper, rank, steps=1)
        assert not wrapper.is_skipped
        before = state(own)
        loss = own.module.target.loss
        own.module.target.loss = lambda *values, loss=loss: loss(*values) * (torch.inf if rank == 1 else 1)
        trained(own, wrapper, rank, steps=1)
        unchanged = all(torch.equal(a, b) for a, b in zip(state(own).values(), before.values()))
        found[dtype] = dict(is_skipped=wrapper.is_skipped, unchanged=unchanged, scale=wrapper.scaler.get_scale())
        own.module.target.loss = loss
        trained(own, wrapper, rank, steps=1)
        found[dtype]['goes on'] = not wrapper.is_skipped
    return found


def checkpointed(rank: int) -> dict:
    """Weights and norms with the activations computed again in the backward pass, and without."""
    ends = []
    for again in (False, True):
        own = sharded(mae(grad_checkpoint=again))
        ends.append((trained(own, optimizer(own), rank), state(own)))
    (norms, weights), (other_norms, other) = ends
    return dict(same=norms == other_norms and all(torch.equal(weights[name], other[name]) for name in weights))


def low_precision(rank: int) -> dict:
    """Blocks that are gathered in the type of autocast: types, norms of gradients, and an evaluation."""
    seen, norms = set(), {}
    own = sharded(param_dtype='float16')
    wrapper = optimizer(own, 'float16')
    wrapper.scaler.load_state_dict(dict(wrapper.scaler.state_dict(), scale=128.0))
    norms['float16'] = trained(own, wrapper, rank)
    own = sharded(param_dtype='bfloat16')
    own.module.vit.blocks[0].mlp.fc1.register_forward_hook(lambda layer, *_: seen.add(str(layer.weight.dtype)))
    own.module.vit.blocks[0].register_forward_hook(lambda _, __, output: seen.add(f'out {output.dtype}'))
    wrapper = optimizer(own, 'bfloat16')
    gradients: set[str] = set()
    step = wrapper.optimizer.step
    trainable = [parameter for parameter in own.parameters() if parameter.requires_grad]
    wrapper.optimizer.step = lambda: gradients.update(str(parameter.grad.dtype) for parameter in trainable) or step()
    norms['bfloat16'] = trained(own, wrapper, rank)
    alone = mae()
    norms['autocast'] = trained(alone, optimizer(alone, 'bfloat16'), None)
    norms['float32'] = trained(model := mae(), optimizer(model), None)
    evaluated = [[image['loss'] for image in one.val_step(data(None))] for one in (own, alone)]
    pictures = []
    for one in (own.module, alone):
        images = one.data_preprocessor(data(None))
        pictures.append(one.reconstruct(images['inputs'], one.mask(images['inputs'], images['seeds'])))
    difference = float((pictures[0] - pictures[1]).abs().max())
    return dict(seen=sorted(seen), gradients=sorted(gradients), norms=norms, evaluated=evaluated, pictures=difference)


def states(rank: int) -> dict:
    """Weights and optimiser: from shards to whole tensors and back, and from one process."""
    alone, own = mae(), sharded()
    trained(alone, of_alone := optimizer(alone), None)
    trained(own, wrapper := optimizer(own), rank)
    stored = dict(state_dict=own.module.state_dict(), optimizer=wrapper.state_dict())
    if rank:  # as the runner does: only the main process keeps them
        take_part(stored)
        kept = [None]
    else:
        kept = [on_cpu(stored, copy=True)]
    distributed.broadcast_object_list(kept)
    content, expected = kept[0], on_cpu(dict(state_dict=alone.state_dict(), optimizer=of_alone.state_dict()), True)
    again = sharded(enlarge(mae()))
    again.module.load_state_dict(content['state_dict'])
    load_optimizer(loaded := optimizer(again), content['optimizer'], 'file')
    moments = [s['exp_avg'] for s in loaded.optimizer.state.values()]
    assert all(isinstance(moment, DTensor) for moment in moments)
    own_bytes = [(m.to_local().untyped_storage().nbytes(), m.to_local().numel() * 4) for m in moments]
    trained(own, wrapper, rank), trained(again, loaded, rank)
    goes_on = all(torch.equal(a, b) for a, b in zip(state(own).values(), state(again).values()))
    from_alone = sharded()
    from_alone.module.load_state_dict(expected['state_dict'])
    load_optimizer(of_shards := optimizer(from_alone), expected['optimizer'], 'file')
    trained(from_alone, of_shards, rank), trained(alone, of_alone, None)
    difference = max(float((a - b).abs().max()) for a, b in zip(state(from_alone).values(), state(alone).values()))
    return dict(
        forms=_form(content) == _form(expected), goes_on=goes_on, difference=difference, own_bytes=own_bytes
    )  # fmt: skip


def _form(value: Any) -> Any:
    """Everything of a state but the numbers in its tensors."""
    if isinstance(value, torch.Tensor):
        return type(value).__name__, value.dtype, tuple(value.shape)
    if isinstance(value, dict):
        return {name: _form(entry) for name, entry in value.items()}
    return [_form(entry) for entry in value] if isinstance(value, (list, tuple)) else value


def parts(rank: int) -> dict:
    """A part of the model loads a state dict of its own; shapes that do not fit are PyTorch's error."""
    own, other = sharded(), mae()
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(1)
    own.module.vit.load_state_dict(other.vit.state_dict())
    loaded = all(torch.equal(whole(a.detach()), b) for a, b in zip(own.module.vit.parameters(), other.vit.parameters()))
    narrow = dict(other.vit.state_dict(), cls_token=torch.zeros(1, 1, 7))
    return dict(loaded=loaded, error=message(lambda: own.module.vit.load_state_dict(narrow), RuntimeError))


def finite(rank: int) -> dict:
    own = sharded()
    before = are_finite(own.parameters())
    if rank == 1:
        with torch.no_grad():
            own.module.vit.blocks[1].mlp.fc1.weight.to_local()[-1, -1] = torch.nan
    return dict(before=before, after=are_finite(own.parameters()))


def refused(rank: int) -> dict:
    own = sharded()
    check_hooks(mae(), [EMAHook()])
    check_hooks(own, [])
    return dict(
        dtype=message(lambda: sharded(param_dtype='fp16')),
        **{'other dtype': message(lambda: trained(half := sharded(param_dtype='bfloat16'), optimizer(half), rank))},
        group=message(lambda: FullyShardedModel(mae(), group=5)),
        features=message(lambda: extract_features(own, DataLoader([0]), 'val')),
        blocks=message(lambda: FullyShardedModel(nn.Linear(3, 3))),
        ema=message(lambda: check_hooks(own, [EMAHook()])),
    )


def message(call: Callable[[], Any], kind: type[Exception] = UserError) -> str:
    try:
        call()
    except kind as error:
        return str(error)
    return 'no error'


if __name__ == '__main__':
    distributed.init_process_group('gloo')
    init_default_scope('mae_transfer')
    own_rank = distributed.get_rank()
    found = {
        check.__name__: check(own_rank)
        for check in (names, steps, communication, skipped, checkpointed, low_precision, states, parts, finite, refused)
    }
    torch.save(found, f'{sys.argv[1]}/{own_rank}.pt')
    sys.stdout.flush()
    os._exit(0)  # threads of gloo outlive their group: see mae_transfer.compat.distributed.end_process
