"""MMEngine's runner: strict about weights, with the batch plan applied to everything that it builds."""

from __future__ import annotations

from functools import cached_property, partial
from typing import Any

from mmengine.device import get_device
from mmengine.dist import get_world_size
from mmengine.logging import MMLogger
from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapper, _ParamScheduler
from mmengine.registry import PARAM_SCHEDULERS
from mmengine.runner import BaseLoop, Runner
from torch import nn
from torch.utils.data import DataLoader

from .channels import check_channels
from .checkpointed_runner import CheckpointedRunner
from .classify import ViTClassifier
from .compat import distributed, safe_loading
from .compat.package_configs import config_name
from .data.files.same_values import check_same_values
from .data.photos.loaders import check_makes_a_batch, loader_settings
from .dense.checks import check_head_classes
from .errors import UserError
from .kinds import class_of
from .optim.batch_plan import BatchPlan, plan_of
from .runs.compiling import check_compile, compile_blocks
from .runs.console import also_shown, for_people
from .runs.heartbeat import NoHeartbeat
from .runs.log_files import tell_once
from .runs.record import recorded
from .runs.stop_signals import StopSignals, start_worker
from .sharding.fully_sharded_model import FullyShardedModel, check_hooks
from .whole_model import unwrapped

#: When hooks may look at the values of all steps so far; every process comes to each of these.
_VALUES_WANTED = ('before_log', 'before_val', 'after_train')

_MMENGINE_HOOKS = ('runtime_info', 'timer', 'sampler_seed', 'logger', 'param_scheduler', 'checkpoint')


class StrictRunner(CheckpointedRunner):
    """MMEngine's runner, except that

    - what cannot work is an error: weights that do not fit, an epoch without a batch;
    - iterations in the config are steps of the optimiser, wherever it runs (:class:`~mae_transfer.optim.BatchPlan`);
    - a resumed run keeps its own settings, and takes only its place from the file (:mod:`mae_transfer.runs.resuming`);
    - several processes work without a GPU, and checkpoints are read as data, never as code.
    """

    #: tells the other processes what this one is doing, if ``HeartbeatHook`` has started it
    heartbeat = NoHeartbeat()

    def __init__(self, *args: Any, **kwargs: Any):
        safe_loading.install()
        self._data_sets: list[Any] = []
        self.stop_signals = StopSignals()
        super().__init__(*args, **kwargs)

    @cached_property
    def batch_plan(self) -> BatchPlan | None:
        """How the total batch of training is divided; None for a config that states neither it nor ``base_lr``.

        With ``train_dataloader.batch_size='auto'`` all processes have to ask for it at the same time.
        """
        processes = get_world_size()

        def fitting() -> tuple[int, str]:
            # Here, because the import takes seconds and few runs ask for it.
            from .planning.fitting import fitting_batch

            return fitting_batch(self.cfg, unwrapped(self.model), processes)

        return plan_of(self.cfg, processes, fitting)

    @property
    def accumulation(self) -> int:
        """Forward passes for one step of the optimiser."""
        return 1 if self.batch_plan is None else self.batch_plan.accumulation

    def train(self) -> nn.Module:
        """As MMEngine's, by the batch plan; raises ``Stopped`` after a signal that asks for it."""
        check_hooks(self.model, self.hooks)
        if self.batch_plan is not None:
            self.batch_plan.adapt_hooks(self.hooks)
        batch = None if self.batch_plan is None else str(self.batch_plan)
        config = config_name(self.cfg.filename)
        with recorded(self, config, batch, self.accumulation), self.stop_signals:
            return super().train()

    def _maybe_compile(self, target: str) -> None:
        """Compile the blocks of the model if the config says ``compile``; raises ``UserError`` where it cannot be done.

        MMEngine calls this before the first step; its own, of a private name, compiles a step with the optimiser, which
        takes several times as long.
        """
        setting = self.cfg.get('compile') or False
        check_compile(setting, get_device())
        if setting is False:
            return
        if not (count := compile_blocks(unwrapped(self.model), setting)):
            raise UserError('compile=True is for models with transformer blocks, and this has none: set compile=False')
        self.logger.info(f'{count} blocks are compiled: the first steps of each batch size take longer')

    def test(self) -> dict:
        """As MMEngine's; a ViT that is evaluated as it was pre-trained, as by k-NN, is loaded by its ``init_cfg``."""
        if self._load_from is None:
            self._init_model_weights()
        with also_shown('mmdet.evaluation', 'mmseg.evaluation'):  # tables of the metrics
            return super().test()

    def call_hook(self, fn_name: str, **kwargs: Any) -> None:
        """As MMEngine's; before some of them the message hub gets what it lacks of the steps so far."""
        if fn_name in _VALUES_WANTED:
            self.deferred_scalars.settle()
        super().call_hook(fn_name, **kwargs)

    def register_default_hooks(self, hooks: dict | None = None) -> None:
        """As MMEngine's; every hook can be left out by None, not only MMEngine's own six."""
        hooks = {name: hook for name, hook in (hooks or {}).items() if hook is not None or name in _MMENGINE_HOOKS}
        super().register_default_hooks(hooks)

    def build_logger(self, *args: Any, **kwargs: Any) -> MMLogger:
        """As MMEngine's; its console is for people, and where its file cannot be written, that is told once."""
        logger = tell_once(super().build_logger(*args, **kwargs))
        for_people(logger)
        return logger

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
            UserError: what :func:`~mae_transfer.data.photos.loaders.check_makes_a_batch` raises.
        """
        repeat = None
        if isinstance(dataloader, dict):
            repeat, dataloader = dataloader.get('repeat'), loader_settings(dataloader)
        loader = Runner.build_dataloader(dataloader, *args, **kwargs)
        loader.worker_init_fn = partial(start_worker, loader.worker_init_fn)
        check_makes_a_batch(loader, repeat)
        return loader

    def build_train_loop(self, loop: BaseLoop | dict) -> BaseLoop:
        """As MMEngine's, with the lengths and the data loader of the batch plan.

        Raises:
            UserError: heads of other classes than the data has; data of several types.
        """
        if self.batch_plan is not None and isinstance(loop, dict):
            loop = self.batch_plan.adapt_loop(loop)
            loader: Any = self._train_dataloader  # MMEngine's loops are built with it
            self._train_dataloader: Any = self.batch_plan.adapt_loader(loader) if isinstance(loader, dict) else loader
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
