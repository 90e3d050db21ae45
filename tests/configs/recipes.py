"""What the tests of all configs share: reading one, comparing it with its recipe, and the run that the Runner makes of
it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper
from torch import nn
from torch.utils.data import DataLoader

from mae_transfer import runner as runner_module
from mae_transfer.runner import StrictRunner
from mae_transfer.runs import EpochBasedTrainLoop, IterBasedTrainLoop
from mae_transfer.settings import read_config
from mae_transfer.vit import ViT
from mae_transfer.vit.sizes import resolve_size

CONFIGS = Path(__file__).parents[2] / 'configs'
LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')


@cache
def load(name: str) -> Config:
    """A config by its name below configs/, its references resolved; not to be changed."""
    return read_config(CONFIGS / f'{name}.py')


def setting(cfg: Any, key: str) -> Any:
    """The setting of a dotted key; None where there is none."""
    for part in key.split('.'):
        if isinstance(cfg, (list, tuple)):
            cfg = cfg[int(part)] if int(part) < len(cfg) else None
        else:
            cfg = None if cfg is None else cfg.get(part)
    return cfg


def differences(cfg: Mapping, recipe: Mapping[str, Any]) -> list[str]:
    """One line for each setting in which a config differs from its recipe: dotted keys and their whole values."""
    return [line for key, said in recipe.items() for line in _differing(setting(cfg, key), said, key)]


def _differing(found: Any, said: Any, key: str) -> Iterator[str]:
    if isinstance(found, Mapping) and isinstance(said, Mapping):
        for name in {**found, **said}:
            yield from _differing(found.get(name), said.get(name), f'{key}.{name}')
    elif isinstance(found, list) and isinstance(said, list) and len(found) == len(said):
        for number, pair in enumerate(zip(found, said)):
            yield from _differing(*pair, f'{key}.{number}')
    elif found != said:
        yield f'{key}: found {found!r}, recipe says {said!r}'


def check_recipe(cfg: Mapping, recipe: Mapping[str, Any]) -> None:
    """Fail with every difference."""
    if lines := differences(cfg, recipe):
        pytest.fail('\n'.join(lines), pytrace=False)


def places(node: Any, text: str, place: str = '') -> set[str]:
    """The dotted keys of the settings whose text contains another."""
    if isinstance(node, str):
        return {place} if text in node else set()
    pairs = node.items() if isinstance(node, Mapping) else enumerate(node) if isinstance(node, (list, tuple)) else ()
    return {
        found
        for key, child in pairs
        if key not in ('references', 'reference_values')
        for found in places(child, text, f'{place}.{key}' if place else str(key))
    }


class StandIn(BaseModel):
    """A model that costs little: one weight and, since rates depend on its depth, a narrow ViT as deep as ``arch``."""

    def __init__(self, arch: str | None = None):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        if arch is not None:
            self.vit = ViT(f'16x{resolve_size(arch).depth}x2', img_size=32, patch_size=16)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """The inputs."""
        return inputs


class _FewGroups(StrictRunner):
    """Of the groups of parameters only the first and the last stay, the embeddings' and the head's: their rates are
    those of all, and a schedule takes a moment."""

    def build_optim_wrapper(self, optim_wrapper: dict) -> OptimWrapper:
        wrapper = super().build_optim_wrapper(optim_wrapper)
        del wrapper.optimizer.param_groups[1:-1]
        return wrapper


def start(cfg: Config, work_dir: Path, processes: int, images: int, arch: str | None = None) -> StrictRunner:
    """The runner of a config when training is about to begin.

    Args:
        cfg: settings; of model and data only the batch's size counts.
        work_dir: any folder.
        processes: how many train together.
        images: of the training data.
        arch: the ViT's, where there is one.
    """
    batch = cfg.train_dataloader.batch_size
    loader = DataLoader(range(images // (batch * processes) * batch), batch)
    names = ('train_cfg', 'optim_wrapper', 'param_scheduler', 'default_hooks', 'default_scope', 'log_processor')
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner_module, 'get_world_size', lambda: processes)
        for loop in (EpochBasedTrainLoop, IterBasedTrainLoop):
            patch.setattr(loop, 'run', lambda self: None)
        runner = _FewGroups(
            StandIn(arch),
            str(work_dir),
            loader,
            cfg=cfg,
            experiment_name=str(work_dir).replace('/', '_'),  # MMEngine keeps its loggers by this name
            log_level='ERROR',
            **{name: cfg.get(name) for name in names},
        )
        runner.train()
    runner.optim_wrapper.step()  # MMEngine warns of schedulers that move before it
    return runner
