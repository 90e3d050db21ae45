"""MMEngine's runner, with checkpoints that are whole, resumed at their place, and checked against the model."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from functools import cached_property, partial

from mmengine.device import get_device
from mmengine.dist import get_world_size, is_main_process
from mmengine.optim import OptimWrapper, _ParamScheduler
from mmengine.runner import Runner
from mmengine.runner.checkpoint import CheckpointLoader

from .classify import ViTClassifier
from .errors import shorten
from .runs.console import log_to_file
from .runs.deferred_scalars import DeferredScalars
from .runs.log_processor import LogProcessor
from .runs.resuming import find_place, intact_checkpoint, load_optimizer, other_processes, resume_schedule
from .runs.saving import check_intact, on_cpu, run_state, write_checkpoint
from .sharding.shards import has_shards, take_part
from .vit.weights.checkpoint import read_weights
from .whole_model import check_class_names, check_whole_model, compare_bands, unwrapped


class CheckpointedRunner(Runner):
    """MMEngine's runner, with other checkpoints: the part of :class:`~mae_transfer.runner.StrictRunner` that writes and
    reads them."""

    #: whether every parameter of the model must come from the file (testing, resuming), or some (``--load-from``)
    require_all_weights = True

    @property
    def accumulation(self) -> int:
        """Forward passes for one step of the optimiser."""
        return 1

    @cached_property
    def deferred_scalars(self) -> DeferredScalars:
        """Values of training steps on their way to the message hub; they wait if there is a place before each line."""
        return DeferredScalars(self.message_hub, waits=isinstance(self.log_processor, LogProcessor))

    def checkpoint_writer(
        self, path: str, meta: dict, with_optimizer: bool = True, with_schedulers: bool = True, copy: bool = False
    ) -> Callable[[], None]:
        """What writes a checkpoint of the run as it is now, in the main process; it raises ``OSError``.

        Args:
            meta: ``epoch`` and ``iter``, how many are done.
            copy: whether training may go on before it is called.
        """
        self.deferred_scalars.settle()  # by all processes
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
        with redirect_stdout(io.StringIO()) as printed:  # from where it reads, which MMEngine does not log
            loaded = super().load_checkpoint(filename, map_location, strict, list(revise_keys))
        log_to_file(printed.getvalue().strip())
        if not self._resume:
            self.logger.info(f'weights: {filename}')
        return loaded
