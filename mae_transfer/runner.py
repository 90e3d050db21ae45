"""MMEngine's runner: strict about weights, with the batch plan applied to everything that it builds."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from typing import Any

from mmengine.dataset import InfiniteSampler
from mmengine.device import get_device
from mmengine.dist import get_world_size, is_main_process
from mmengine.logging import MMLogger
from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapper, _ParamScheduler
from mmengine.registry import PARAM_SCHEDULERS
from mmengine.runner import BaseLoop, Runner
from mmengine.runner.checkpoint import CheckpointLoader
from torch import nn
from torch.utils.data import DataLoader

from .channels import check_channels
from .classify import ViTClassifier
from .compat import distributed, safe_loading
from .data.files.same_values import check_same_values
from .data.photos.loaders import check_has_batch, loader_settings
from .dense.checks import check_head_classes
from .errors import shorten
from .kinds import class_of
from .optim.batch_plan import BatchPlan, plan_of
from .runs.heartbeat import NoHeartbeat
from .runs.log_files import tell_once
from .runs.resuming import find_place, intact_checkpoint, load_optimizer, other_processes, resume_schedule
from .runs.saving import check_intact, on_cpu, run_state, write_checkpoint
from .runs.stop_signals import StopSignals, start_worker
from .sharding.fully_sharded_model import FullyShardedModel, check_hooks
from .sharding.shards import has_shards, take_part
from .vit.weights.checkpoint import read_weights
from .whole_model import check_class_names, check_whole_model, compare_bands, unwrapped

_MMENGINE_HOOKS = ('runtime_info', 'timer', 'sampler_seed', 'logger', 'param_scheduler', 'checkpoint')


class StrictRunner(Runner):
    """MMEngine's runner, except that

    - what cannot work is an error: weights that do not fit, an epoch without a batch;
    - iterations in the config are steps of the optimiser, wherever it runs (:class:`~mae_transfer.optim.BatchPlan`);
    - a resumed run keeps its own settings, and takes only its place from the file (:mod:`mae_transfer.runs.resuming`);
    - several processes work without a GPU, and checkpoints are read as data, never as code.
    """

    #: whether every parameter of the model must come from the file (testing, resuming), or some (``--load-from``)
    require_all_weights = True
    #: tells the other processes what this one is doing, if ``HeartbeatHook`` has started it
    heartbeat = NoHeartbeat()

    def __init__(self, *args: Any, **kwargs: Any):
        safe_loading.install()
        self._data_sets: list[Any] = []
        self.stop_signals = StopSignals()
        super().__init__(*args, **kwargs)

    @cached_property
    def batch_plan(self) -> BatchPlan | None:
        """How the total batch of training is divided; None for a config that states neither it nor ``base_lr``."""
        return plan_of(self.cfg, get_world_size())

    @property
    def accumulation(self) -> int:
        """Forward passes for one step of the optimiser."""
        return 1 if self.batch_plan is None else self.batch_plan.accumulation

    def train(self) -> nn.Module:
        """As MMEngine's, by the batch plan; raises ``Stopped`` after a signal that asks for it."""
        check_hooks(self.model, self.hooks)
        if self.batch_plan is not None:
            self.batch_plan.adapt_hooks(self.hooks)
            self.logger.info(str(self.batch_plan))
        with self.stop_signals:
            return super().train()

    def test(self) -> dict:
        """As MMEngine's; a ViT that is evaluated as it was pre-trained, as by k-NN, is loaded by its ``init_cfg``."""
        if self._load_from is None:
            self._init_model_weights()
        return super().test()

    def register_default_hooks(self, hooks: dict | None = None) -> None:
        """As MMEngine's; every hook can be left out by None, not only MMEngine's own six."""
        hooks = {name: hook for name, hook in (hooks or {}).items() if hook is not None or name in _MMENGINE_HOOKS}
        super().register_default_hooks(hooks)

    def build_logger(self, *args: Any, **kwargs: Any) -> MMLogger:
        """As MMEngine's; where its file cannot be written, that is told once."""
        return tell_once(super().build_logger(*args, **kwargs))

    # What is built ----------------------------------------------------------------------------------------------------

    def build_model(self, model: nn.Module | dict) -> nn.Module:
        """As MMEngine's; raises for a model that takes other channels than its preprocessor normalises."""
        built = super().build_model(model)
        check_channels(unwrapped(built))
        return built

    def wrap_model(self, model_wrapper_cfg: dict | None, model: nn.Module) -> nn.Module:
        """As MMEngine's; several processes without a GPU have DDP without devices, and BN in place of SyncBN."""
        if self.distributed and get_device() == 'cpu' and not is_model_wrapper(model):
            model = distributed.without_sync_bn(model, self.cfg)
            model_wrapper_cfg = distributed.wrapper_without_device(model_wrapper_cfg, self.cfg)
            wrapped = super().wrap_model(model_wrapper_cfg, model)
            distributed.average_in_order(wrapped)
            return wrapped
        return super().wrap_model(model_wrapper_cfg, model)

    def _init_model_weights(self) -> None:
        """As MMEngine's; weights that are divided were initialised before that."""
        if not isinstance(self.model, FullyShardedModel):
            super()._init_model_weights()

    @staticmethod
    def build_dataloader(dataloader: DataLoader | dict, *args: Any, **kwargs: Any) -> DataLoader:
        """As MMEngine's, from :func:`~mae_transfer.data.photos.loaders.loader_settings`.

        Raises:
            UserError: what :func:`~mae_transfer.data.photos.loaders.check_has_batch` raises.
        """
        repeat = None
        if isinstance(dataloader, dict):
            repeat, dataloader = dataloader.get('repeat'), loader_settings(dataloader)
        loader = Runner.build_dataloader(dataloader, *args, **kwargs)
        loader.worker_init_fn = partial(start_worker, loader.worker_init_fn)
        if not isinstance(loader.sampler, InfiniteSampler):
            check_has_batch(loader, repeat)
        return loader

    def build_train_loop(self, loop: BaseLoop | dict) -> BaseLoop:
        """As MMEngine's, with the lengths of the batch plan.

        Raises:
            UserError: heads of other classes than the data has; data of several types.
        """
        if self.batch_plan is not None and isinstance(loop, dict):
            loop = self.batch_plan.adapt_loop(loop)
        return self._with_data_checked(super().build_train_loop(loop))

    def build_val_loop(self, loop: BaseLoop | dict) -> BaseLoop:
        """As MMEngine's; raises as :meth:`build_train_loop`."""
        return self._with_data_checked(super().build_val_loop(loop))

    def build_test_loop(self, loop: BaseLoop | dict) -> BaseLoop:
        """As MMEngine's; raises as :meth:`build_train_loop`."""
        return self._with_data_checked(super().build_test_loop(loop))

    def _with_data_checked(self, loop: BaseLoop) -> BaseLoop:
        self._data_sets.append(loop.dataloader.dataset)
        check_same_values(self._data_sets)
        model = unwrapped(self.model)
        if not isinstance(model, ViTClassifier):  # for which check_classes asks more, before anything is built
            check_head_classes(model, loop.dataloader.dataset, self.cfg.get('classes') is not None)
        return loop

    def build_optim_wrapper(self, optim_wrapper: OptimWrapper | dict) -> OptimWrapper:
        """As MMEngine's, with the learning rate and the accumulation of the batch plan."""
        if self.batch_plan is not None and isinstance(optim_wrapper, dict):
            optim_wrapper = self.batch_plan.adapt_optim_wrapper(optim_wrapper)
        return super().build_optim_wrapper(optim_wrapper)

    def build_param_scheduler(self, scheduler: _ParamScheduler | dict | list) -> list[_ParamScheduler]:
        """As MMEngine's, with the lengths of the batch plan; a scheduler without an ``end`` ends with the run."""
        parts = list(scheduler) if isinstance(scheduler, (list, tuple)) else [scheduler]
        if self.batch_plan is not None:
            for number, part in enumerate(parts):
                kind = (
                    class_of(part, PARAM_SCHEDULERS, self.cfg.get('default_scope')) if isinstance(part, dict) else None
                )
                if kind is not None:
                    parts[number] = self.batch_plan.adapt_scheduler(part, kind)
        return super().build_param_scheduler(parts)

    # Checkpoints ------------------------------------------------------------------------------------------------------

    def checkpoint_writer(
        self, path: str, meta: dict, with_optimizer: bool = True, with_schedulers: bool = True, copy: bool = False
    ) -> Callable[[], None]:
        """What writes a checkpoint of the run as it is now, in the main process; it raises ``OSError``.

        Args:
            meta: ``epoch`` and ``iter``, how many are done.
            copy: whether training may go on before it is called.
        """
        if not is_main_process() and not has_shards(self.model):
            return lambda: None
        # What a run on another number of processes needs to find its place.
        meta = dict(meta, accumulation=self.accumulation, epoch_length=len(self.train_dataloader))
        meta['processes'] = get_world_size()
        checkpoint = run_state(self, meta, with_optimizer, with_schedulers)
        if not is_main_process():
            take_part(checkpoint)
            return lambda: None
        self.call_hook('before_save_checkpoint', checkpoint=checkpoint)
        return partial(write_checkpoint, on_cpu(checkpoint, copy), path)

    def save_checkpoint(
        self,
        out_dir: str,
        filename: str,
        file_client_args: dict | None = None,
        save_optimizer: bool = True,
        save_param_scheduler: bool = True,
        meta: dict | None = None,
        by_epoch: bool = True,
        backend_args: dict | None = None,
    ) -> None:
        """As MMEngine's, but a file takes its name when it is complete."""
        epoch, iteration = (self.epoch + 1, self.iter) if by_epoch else (self.epoch, self.iter + 1)
        meta = dict(dict(epoch=epoch, iter=iteration), **(meta or {}))
        self.checkpoint_writer(os.path.join(out_dir, filename), meta, save_optimizer, save_param_scheduler)()

    def load_or_resume(self) -> None:
        """As MMEngine's; the checkpoint to resume from is the newest of the work_dir that is intact."""
        if self._resume and self._load_from is None and not self._has_loaded:
            path = intact_checkpoint(self.work_dir, self.logger.warning)
            if path is not None:
                self.resume(str(path))
            return
        if self._resume and not self._has_loaded and zipfile.is_zipfile(self._load_from):
            check_intact(self._load_from)
        super().load_or_resume()

    def resume(
        self,
        filename: str,
        resume_optimizer: bool = True,
        resume_param_scheduler: bool = True,
        map_location: str | Callable = 'default',
    ) -> None:
        """Go on with the run that a checkpoint is of, with this run's settings.

        Raises:
            UserError: what :func:`check_whole_model` raises; a file of weights alone, of other groups of parameters, or
                of a run that was longer.
        """
        self.require_all_weights = True
        if map_location == 'default':  # the optimiser's state of all shards would not fit in one GPU
            map_location = 'cpu' if has_shards(self.model) else get_device()
        checkpoint = self.load_checkpoint(filename, map_location)
        epoch_length = len(self.train_dataloader)
        place = find_place(checkpoint, filename, self.train_loop, epoch_length, self.accumulation)
        self.train_loop._epoch, self.train_loop._iter = place.epoch, place.iteration
        if self._randomness_cfg.get('seed') is None:
            self._randomness_cfg.update(seed=checkpoint['meta'].get('seed'))
            self.set_randomness(**self._randomness_cfg)
        self.message_hub.load_state_dict(checkpoint['message_hub'])
        self.optim_wrapper: OptimWrapper = self.build_optim_wrapper(self.optim_wrapper)
        if self.param_schedulers is not None:
            self.param_schedulers: list[_ParamScheduler] = self.build_param_scheduler(self.param_schedulers)
        differences: list[str] = []
        if resume_optimizer:
            own = load_optimizer(self.optim_wrapper, checkpoint['optimizer'], filename)
            if resume_param_scheduler:
                states = checkpoint.get('param_schedulers') or []
                schedulers = self.param_schedulers or []
                differences = resume_schedule(self.optim_wrapper, own, schedulers, states, place, epoch_length)
        self._has_loaded = True
        self.logger.info(f'resumed epoch: {self.epoch}, iter: {self.iter}, from {filename}')
        if difference := other_processes(checkpoint['meta'], get_world_size()):
            self.logger.warning(difference)
        if differences:
            self.logger.warning(f"this run's settings are used where the file's differ: {shorten(differences)}")

    def load_checkpoint(
        self,
        filename: str,
        map_location: str | Callable = 'cpu',
        strict: bool = False,
        revise_keys: Sequence = ((r'^module.', ''),),
    ) -> dict:
        """Load weights for the whole model; raises as :func:`check_whole_model`.

        A classifier takes other projects' layouts too, by its ``load_weights``.
        """
        model = unwrapped(self.model)
        checkpoint = CheckpointLoader.load_checkpoint(filename, map_location='cpu')
        if isinstance(model, ViTClassifier) and not read_weights(checkpoint).is_of_classifier:
            model.load_weights(filename, need_head=self.require_all_weights)
            # For an average of the weights.
            self.call_hook('after_load_checkpoint', checkpoint=dict(state_dict=model.state_dict()))
            self._has_loaded = True
            return checkpoint
        if not isinstance(model, ViTClassifier):
            loops = (self._test_loop, self._train_loop)
            dataset = next((loop.dataloader.dataset for loop in loops if hasattr(loop, 'dataloader')), None)
            check_class_names(checkpoint, filename, dataset, self.require_all_weights)
        check_whole_model(model, checkpoint, filename, self.require_all_weights)
        compare_bands(checkpoint, filename, self.cfg)
        return super().load_checkpoint(filename, map_location, strict, list(revise_keys))
