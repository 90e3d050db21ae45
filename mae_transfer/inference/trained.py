"""A trained model, as a run left it: read with its config, its weights and its classes, without data or a runner."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.registry import DATASETS, MODELS
from torch import nn

from ..calls import python_call
from ..channels import check_channels
from ..checks import check_settings
from ..data.label_maps.class_names import class_names
from ..errors import UserError
from ..kinds import class_of, data_sets, unknown_type
from ..paths import shown, user_path
from ..settings import change_settings, keyword_changes
from ..vit import ViT
from ..vit.of_model import vit_of
from ..vit.weights.checkpoint import find_checkpoint, read_checkpoint
from ..whole_model import load_whole_model
from .run_config import config_of_run
from .tasks import Task, task_of


@dataclass(frozen=True)
class Trained:
    """A model with all of its weights, in evaluation mode.

    Attributes:
        model: with its preprocessor, on its device.
        cfg: of its run, with the changes that :func:`load` was given.
        task: what it is for.
        checkpoint: the file of its weights.
        classes: their names in label order; none for a pre-training, or where neither file nor config has them.
        source: the run as the user named it.
    """

    model: nn.Module = field(repr=False)
    cfg: Config = field(repr=False)
    task: Task
    checkpoint: Path
    classes: tuple[str, ...]
    source: str

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.model.parameters()).device

    @cached_property
    def vit(self) -> ViT:
        """The ViT; of two, as in MoCo v3, the one that is trained.

        Raises:
            UserError: there is none, as in a tokenizer or a detector with another backbone.
        """
        if (found := vit_of(self.model)) is not None:
            return found
        raise UserError(f'{shown(self.source)} has no ViT: its model is a {type(self.model).__name__}')


@python_call
def load(
    run: str | os.PathLike,
    *,
    device: str | torch.device | None = None,
    verbose: bool = False,
    cfg_options: Mapping[str, Any] | None = None,
    **settings: Any,
) -> Trained:
    """Read a trained model.

    The file that it started from is not needed, nor its data. The config is the one that the checkpoint has inside,
    which is parsed, never run; for a checkpoint without one it is the only config file in the same folder.

    Args:
        run: the work_dir of a training, of which the last checkpoint is taken, as tools/test.py does; or a checkpoint,
            such as the best one of a run.
        device: 'cpu', 'cuda', 'cuda:1', ...; None for a GPU if there is one.
        verbose: whether all of what is logged is shown (:mod:`mae_transfer.runs.console`).
        cfg_options, settings: changes of the config, by dotted keys, or as keyword arguments with ``__`` for the dots.

    Raises:
        UserError: no such run; weights without a config, such as a ViT of another project; a checkpoint of another
            model than the config's; a change of a setting that does not exist.
    """
    path = find_checkpoint(user_path(run, 'run'))
    checkpoint = read_checkpoint(path)
    place = usable_device(device)
    cfg = config_of_run(path, checkpoint)
    if changes := keyword_changes(cfg_options, settings):
        cfg = change_settings(cfg, changes)
        check_settings(cfg)
    task = task_of(cfg)
    model = _build(cfg, path)
    check_channels(model)
    load_whole_model(model, str(path), cfg, checkpoint)
    classes = () if task == 'pretrain' else _classes_of(checkpoint, cfg)
    return Trained(model.to(place).eval(), cfg, task, path, classes, os.fspath(run))


def loaded(model: Trained | str | os.PathLike, device: str | torch.device | None = None) -> Trained:
    """A model that may have been loaded before, then on its own device; raises as :func:`load`.

    Raises:
        UserError: another device for a model that is loaded.
    """
    if not isinstance(model, Trained):
        return load(model, device=device)
    if device is not None and usable_device(device) != usable_device(model.device):
        raise UserError(f'the model is on {model.device}, not on {device}: load it there, load(..., device="{device}")')
    return model


def usable_device(device: str | torch.device | None) -> torch.device:
    """The device that is meant, with its number; raises ``UserError`` for one that this machine does not have."""
    try:
        return torch.empty(0, device=get_device() if device is None else device).device
    except (RuntimeError, AssertionError, TypeError) as error:
        raise UserError(f"device '{device}' cannot be used: {str(error).strip().splitlines()[0]}") from None


def _build(cfg: Config, path: Path) -> nn.Module:
    """The model of a config, with random weights: its ``init_cfg`` are not followed."""
    try:
        with MODELS.switch_scope_and_registry(cfg.get('default_scope')) as models:
            return models.build(cfg.model)
    except KeyError as error:
        if (line := unknown_type(error)) is None:
            raise
        raise UserError(f'{shown(path)}: {line}') from error


def _classes_of(checkpoint: Mapping, cfg: Config) -> tuple[str, ...]:
    """The classes of the data that the model was trained on, or those of the config."""
    meta = checkpoint.get('meta')
    stated = meta.get('dataset_meta') if isinstance(meta, Mapping) else None
    if isinstance(stated, Mapping) and stated.get('classes'):
        return tuple(map(str, stated['classes']))
    if cfg.get('classes'):
        return class_names(cfg.classes) or ()
    for name in ('train_dataloader', 'test_dataloader'):
        for dataset in data_sets((cfg.get(name) or {}).get('dataset') or ()):
            kind = class_of(dataset, DATASETS, cfg.get('default_scope'))
            metas = (dataset.get('metainfo'), getattr(kind, 'METAINFO', None))
            for found in (meta.get('classes') for meta in metas if isinstance(meta, Mapping)):
                if found:
                    return (found,) if isinstance(found, str) else tuple(map(str, found))
    return ()
