"""MMEngine's runner, loud about weights that do not fit."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sized

import torch
from mmengine.logging import print_log
from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.runner import Runner
from mmengine.runner.checkpoint import CheckpointLoader
from torch import nn
from torch.utils.data import DataLoader

from .classify import ViTClassifier
from .errors import UserError
from .vit.checkpoint import read_weights


class LoudRunner(Runner):
    """MMEngine's runner, except that what cannot work is an error: weights that do not fit, an epoch without a
    batch."""

    #: whether each parameter of the model must come from the file (testing, resuming), or some of them
    #: (``--load-from``)
    complete = True

    def resume(self, filename: str, *args, **kwargs) -> None:
        """Go on with the run that a checkpoint is of; raises as :func:`check_whole_model`."""
        self.complete = True
        super().resume(filename, *args, **kwargs)

    @staticmethod
    def build_dataloader(dataloader: DataLoader | dict, *args, **kwargs) -> DataLoader:
        """As MMEngine's.

        Raises:
            UserError: fewer images than one batch, where what is left over is dropped.
        """
        loader = Runner.build_dataloader(dataloader, *args, **kwargs)
        if (
            isinstance(loader.dataset, Sized)
            and loader.batch_size
            and len(loader.sampler) < loader.batch_size
            and loader.drop_last
        ):
            raise UserError(
                f'{len(loader.dataset)} images, {len(loader.sampler)} for each process, make no batch of '
                f'{loader.batch_size}: '
                'give more, or lower train_dataloader.batch_size and total_batch_size'
            )
        return loader

    def load_checkpoint(
        self,
        filename: str,
        map_location: str | Callable = 'cpu',
        strict: bool = False,
        revise_keys: list = ((r'^module.', ''),),
    ) -> dict:
        """Load weights for the whole model; raises as :func:`check_whole_model`.

        A classifier takes other projects' layouts too, by its ``load_weights``.
        """
        model = self.model.module if is_model_wrapper(self.model) else self.model
        model = model.module if isinstance(model, BaseTTAModel) else model
        checkpoint = CheckpointLoader.load_checkpoint(filename, map_location='cpu')
        if isinstance(model, ViTClassifier) and read_weights(checkpoint).layout != 'mae_transfer':
            model.load_weights(filename, need_head=self.complete)
            self.call_hook(
                'after_load_checkpoint', checkpoint=dict(state_dict=model.state_dict())
            )  # an average of the weights
            self._has_loaded = True
            return checkpoint
        if not isinstance(model, ViTClassifier):
            loops = (self._test_loop, self._train_loop)
            dataset = next((loop.dataloader.dataset for loop in loops if hasattr(loop, 'dataloader')), None)
            check_class_names(checkpoint, filename, dataset, self.complete)
        check_whole_model(model, checkpoint, filename, self.complete)
        return super().load_checkpoint(filename, map_location, strict, list(revise_keys))

    def test(self) -> dict:
        """As MMEngine's; a ViT that is read as it was pre-trained (k-NN, fast probe) is loaded by its ``init_cfg``."""
        if self._load_from is None:
            self._init_model_weights()
        return super().test()


def check_whole_model(model: nn.Module, checkpoint: dict, filename: str, complete: bool) -> dict:
    """Compare a checkpoint of a whole model (detector, segmentor, MAE) with the model.

    Returns:
        Its state dict.

    Raises:
        UserError: parameters without a value in the file or of another shape: any, when ``complete``; otherwise all, or
            some of a ViT's blocks, as when it is of another size. Blocks in the file that the model does not have.
    """
    state = checkpoint.get('state_dict', checkpoint)
    state = {key.removeprefix('module.'): value for key, value in state.items() if isinstance(value, torch.Tensor)}
    wanted = model.state_dict()
    missing = [name for name in wanted if name not in state]
    reshaped = [name for name in wanted if name in state and state[name].shape != wanted[name].shape]
    advice = 'use the config that it was trained with'
    if blocks := [name for name in state if name not in wanted and _is_block(name) and missing != list(wanted)]:
        raise UserError(
            f'{filename} is of another model: {blocks[0]} has no place here ({len(blocks)} such tensors); {advice}'
        )
    if reshaped and (complete or any(map(_is_block, reshaped))):
        name = next(filter(_is_block, reshaped), reshaped[0])
        raise UserError(
            f'{filename} is of another model: {name} is {tuple(state[name].shape)} there and '
            f'{tuple(wanted[name].shape)} '
            f'here ({len(reshaped)} such tensors); {advice}'
        )
    if missing and (complete or len(missing) + len(reshaped) == len(wanted) or any(map(_is_block, missing))):
        name = next(filter(_is_block, missing), missing[0])
        raise UserError(
            f'{filename} is of another model: {len(missing)} of {len(wanted)} tensors are not in it, e.g. {name} '
            f'(it has e.g. {next(iter(state), "none")}); {advice}'
        )
    if missing or reshaped:
        print_log(
            f'{filename}: {len(wanted) - len(missing) - len(reshaped)} of {len(wanted)} tensors fit; not loaded: '
            f'{", ".join((missing + reshaped)[:10])}',
            logger='current',
            level=logging.WARNING,
        )
    return state


def check_class_names(checkpoint: dict, filename: str, dataset: object, complete: bool = True) -> None:
    """Compare the classes that a detector or segmentor was trained on with those of the data it is to judge or to go on
    with.

    Where it only lends its weights (``complete`` is False), as many other classes are a warning: their heads are taken
    over.

    Raises:
        UserError: other classes, or another order, though ``complete``: each prediction would bear another's name.
    """
    trained = (checkpoint.get('meta') or {}).get('dataset_meta') or {}
    trained, own = trained.get('classes'), getattr(dataset, 'metainfo', {}).get('classes')
    if not trained or not own or list(trained) == list(own):
        return
    there, here = (
        f'{len(names)} classes ({", ".join([*names[:3], *["..."] * (len(names) > 3)])})' for names in (trained, own)
    )
    found = f'{filename} was trained on {there}, the config has {here}'
    if complete:
        raise UserError(f'{found}: give the same classes in the same order')
    if len(trained) == len(own):
        print_log(f'{found}: the heads start as those of the other classes', logger='current', level=logging.WARNING)


def _is_block(name: str) -> bool:
    return re.search(r'(^|\.)blocks\.\d+\.', name) is not None


def load_whole_model(model: nn.Module, filename: str) -> None:
    """Load a checkpoint of a whole model outside of a runner; raises as :func:`check_whole_model`."""
    checkpoint = CheckpointLoader.load_checkpoint(filename, map_location='cpu')
    model.load_state_dict(check_whole_model(model, checkpoint, filename, complete=True))
