"""When a run is stored, what is kept of it, and how it stops on a signal."""

from __future__ import annotations

import math
import os
import shutil
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from mmengine import hooks
from mmengine.dist import is_main_process
from mmengine.runner import Runner
from torch import nn

from ..errors import UserError, is_number
from ..registry import HOOKS
from ..runs.agreement import Agreement
from ..runs.console import FILE_ONLY
from ..runs.saving import BackgroundWriter, write_text
from ..runs.stop_signals import Stopped
from ..sharding.shards import are_finite
from ..whole_files import PART

#: What processes ask of each other; a signal's number stands for itself, and comes before these.
_SAVE, _GIVE_UP = 1000, 2000

#: The name in the message hub of the files that are kept, oldest first.
_KEPT = 'kept_checkpoints'

#: The name of a checkpoint that was not due by the epoch or iteration.
_BY_ITERATION = 'iter_{}.pth'


@HOOKS.register_module()
class CheckpointHook(hooks.CheckpointHook):
    """MMEngine's ``CheckpointHook``, for runs that cannot be lost.

    - A file takes its name when it is complete and on the disk, and older ones are removed after that.
    - Checkpoints are also written every so many minutes, at any step, as ``iter_<N>.pth``; runs go on from there with
      the same batches.
    - On SIGTERM, SIGUSR1 and Ctrl-C the run stops after the step, with a checkpoint; a second Ctrl-C ends it at once.
    - None is written of weights that are not finite: the run ends.
    - None is written while gradients are accumulated, which it would not contain: one that is due is written a few
      forward passes later, with the step of the optimiser.

    Args:
        interval, by_epoch, max_keep_ckpts, save_best, ...: as in MMEngine. ``max_keep_ckpts`` counts all files but the
            best ones.
        minutes: most minutes between two checkpoints; None for no limit.
        background: whether training goes on while a file is written. It takes a copy of the model and the optimiser in
            memory.
        on_save_error: 'continue' or 'stop': whether a run goes on after a checkpoint could not be written, as on a full
            disk. Either is told, and older checkpoints stay.

    Raises:
        UserError: ``minutes`` not above 0; another ``on_save_error``.
    """

    def __init__(
        self,
        *args: Any,
        minutes: float | None = 15,
        background: bool = False,
        on_save_error: str = 'continue',
        **kwargs: Any,
    ):
        super().__init__(*args, **kwargs)
        if minutes is not None and not (is_number(minutes) and minutes > 0):
            raise UserError(f'CheckpointHook.minutes is a number above 0, or None for no limit; found {minutes!r}')
        if on_save_error not in ('continue', 'stop'):
            raise UserError(f"CheckpointHook.on_save_error is 'continue' or 'stop'; found {on_save_error!r}")
        self.minutes, self.background, self.on_save_error = minutes, background, on_save_error
        self._writer = BackgroundWriter()
        self._due: str | None = None  # the file to write when no gradients are accumulated; {} is the iteration then
        self._stop = 0  # the signal on which to stop then
        self._has_failed = False
        self._trains, self._written_at = False, -1  # the latter iterations

    # The course of a run ----------------------------------------------------------------------------------------------

    def before_train(self, runner: Runner) -> None:
        """As MMEngine's; also remove what a stopped run left unfinished. Raises ``UserError`` for another runner."""
        if not hasattr(runner, 'checkpoint_writer'):
            raise UserError(
                "mae_transfer's CheckpointHook is for its StrictRunner, as tools/train.py builds it: with MMEngine's "
                "Runner choose type='mmengine.CheckpointHook'"
            )
        super().before_train(runner)
        if runner.rank == 0:
            for path in Path(self.out_dir).glob(f'*.pth{PART}'):
                path.unlink()
        self._agree, self._counted_from, self._trains = Agreement(), time.monotonic(), True

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None, outputs: dict | None = None
    ) -> None:
        """Write a checkpoint if one is due, and stop if a signal was received.

        Raises:
            Stopped: by a signal, after the checkpoint was written.
            UserError: a checkpoint could not be written, and ``on_save_error`` is 'stop'.
        """
        self._look_at_writer(runner)
        agreed = self._agree(self._request(runner.stop_signals.received))
        if agreed == _GIVE_UP:
            raise UserError(f'checkpoints cannot be written to {self.out_dir}: make room there, then --resume')
        if agreed == _SAVE:
            self._due = self._due or _BY_ITERATION
        elif agreed:
            self._due, self._stop = self._due or _BY_ITERATION, agreed
        if not self.by_epoch and self._is_time_by_iteration(runner):
            self._due = self.filename_tmpl.format(runner.iter + 1)
        if self._due and runner.optim_wrapper.should_update():
            self._write_due(runner, dict(epoch=runner.epoch, iter=runner.iter + 1))

    def after_train_epoch(self, runner: Runner) -> None:
        """Write the checkpoint of the epoch, now or with the next step of the optimiser."""
        if not self.by_epoch:
            return
        is_last = self.save_last and self.is_last_train_epoch(runner)
        if self.every_n_epochs(runner, self.interval, self.save_begin) or is_last:
            self._due = self.filename_tmpl.format(runner.epoch + 1)
            if runner.optim_wrapper.should_update():
                self._write_due(runner, dict(epoch=runner.epoch + 1, iter=runner.iter))

    def after_val_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None, outputs: Any = None
    ) -> None:
        """Stop in a training's validation if a signal was received, and the checkpoint of this step was written.

        Another checkpoint is not written here: averaged weights may be in the model. The validation is made again
        after ``--resume``.

        Raises:
            Stopped: by a signal.
        """
        if not self._trains:
            return
        agreed = self._agree(runner.stop_signals.received)
        if agreed == _SAVE:
            self._due = self._due or _BY_ITERATION
        elif 0 < agreed < _SAVE:
            self._due, self._stop = self._due or _BY_ITERATION, agreed
            if self._written_at == runner.iter:
                self._end_by_signal(runner, runner.iter, os.path.basename(self.last_ckpt))

    def after_train(self, runner: Runner) -> None:
        """Wait for the last file; raises ``UserError`` if it could not be written, whatever ``on_save_error`` is."""
        self._wait(runner)
        if self._has_failed:
            raise UserError(
                f'the last checkpoint of the run could not be written to {self.out_dir}: make room there, and --resume '
                'from the one before it'
            )
        super().after_train(runner)

    def _is_time_by_iteration(self, runner: Runner) -> bool:
        is_last = self.save_last and self.is_last_train_iter(runner)
        return self.every_n_train_iters(runner, self.interval, self.save_begin) or is_last

    def _request(self, received: int) -> int:
        """What this process asks of all, if it received this signal."""
        if self._has_failed and self.on_save_error == 'stop':
            return _GIVE_UP
        if received:
            return received
        now = time.monotonic()
        is_late = self.minutes is not None and now - self._counted_from > 60 * self.minutes
        if not is_late or not is_main_process() or self._writer.is_busy:
            return 0
        self._counted_from = now  # several processes follow a step later: it must not be asked for twice
        return _SAVE

    def _save_best_checkpoint(self, runner: Runner, metrics: dict) -> None:
        """Write the weights if a metric of ``save_best`` is the best so far, then remove the ones before.

        MMEngine's, which this replaces, removes them first.
        """
        if not self.save_best:
            return
        if 'auto' in self.key_indicators:
            self._init_rule(self.rules, [next(iter(metrics))])
        place, updated = runner.epoch if self.by_epoch else runner.iter, False
        for metric in self.key_indicators:
            name = '' if len(self.key_indicators) == 1 else f'_{metric}'
            hub, score = runner.message_hub, metrics[metric]
            best, before = (hub.runtime_info.get(f'best_{what}{name}') for what in ('score', 'ckpt'))
            if score is None or not self.is_better_than[metric](score, self._worst(metric) if best is None else best):
                continue
            file = f'best_{metric}_{self.filename_tmpl.format(place)}'.replace('/', '_')
            path, meta = os.path.join(self.out_dir, file), dict(epoch=runner.epoch, iter=runner.iter)
            try:
                runner.checkpoint_writer(path, meta, with_optimizer=False, with_schedulers=False)()
            except OSError as error:
                runner.logger.error(f'{path} was not written: {error.strerror or error}; {before or "none"} stays')
                continue
            hub.update_info(f'best_score{name}', score)
            hub.update_info(f'best_ckpt{name}', path)
            if is_main_process() and before not in (None, path):
                Path(before).unlink(missing_ok=True)
            runner.logger.info(f'The best checkpoint with {score:0.4f} {metric} is saved to {file}.')
            updated = True
        if updated and self.last_ckpt is not None:  # which then names it
            self._save_checkpoint_with_step(runner, place, dict(epoch=runner.epoch, iter=runner.iter))

    def _worst(self, metric: str) -> float:
        return -math.inf if self.is_better_than[metric](1, 0) else math.inf

    # Writing ----------------------------------------------------------------------------------------------------------

    def _write_due(self, runner: Runner, meta: dict) -> None:
        name, self._due = str(self._due).format(meta['iter']), None
        runner.logger.info(f'Saving checkpoint at {meta["iter"]} iterations', extra=FILE_ONLY)
        self._save_checkpoint_with_step(runner, name, meta)
        if self._stop:
            self._end_by_signal(runner, meta['iter'], name)

    def _end_by_signal(self, runner: Runner, iterations: int, name: str) -> None:
        self._wait(runner)
        self._agree.wait_for_all()  # a launcher that sees one process end kills the others
        wrote = 'its checkpoint could not be written' if self._has_failed else f'{name} was written'
        raise Stopped(
            self._stop,
            f'stopped by {signal.Signals(self._stop).name} after {iterations} iterations; {wrote}: go on by --resume',
        )

    def _save_checkpoint_with_step(self, runner: Runner, step: int | str, meta: dict) -> None:
        """Write a checkpoint, then remove the oldest; called by MMEngine's too, with a number, after the best one."""
        if self._due:  # gradients are accumulated: it follows with the step
            return
        self._wait(runner)
        check_finite(runner.model, meta['iter'])
        name = step if isinstance(step, str) else self.filename_tmpl.format(step)
        self._counted_from, self._written_at = time.monotonic(), meta['iter']
        self.last_ckpt = os.path.join(self.out_dir, name)
        kept = [other for other in runner.message_hub.runtime_info.get(_KEPT, []) if other != name] + [name]
        old = kept[: -self.max_keep_ckpts] if self.max_keep_ckpts > 0 else []
        # The file itself names what is removed after it: a stop in between leaves nothing behind.
        runner.message_hub.update_info(_KEPT, kept)
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        write = runner.checkpoint_writer(
            self.last_ckpt, meta, self.save_optimizer, self.save_param_scheduler, copy=self.background
        )
        if not is_main_process():
            return
        self._writer.start(partial(self._write, write, runner.work_dir, [Path(self.out_dir, other) for other in old]))
        if not self.background:
            self._wait(runner)

    def _write(self, write: Callable[[], None], work_dir: str, old: list[Path]) -> None:
        write()
        write_text(self.last_ckpt, Path(work_dir, 'last_checkpoint'))
        for path in old:
            path.unlink(missing_ok=True)

    def _look_at_writer(self, runner: Runner) -> None:
        if not self._writer.is_busy:
            self._wait(runner)

    def _wait(self, runner: Runner) -> None:
        """Wait for what is being written, and tell if it could not be."""
        try:
            with runner.heartbeat.pause():
                has_written = self._writer.wait()
        except OSError as error:
            return self._tell_failure(runner, error)
        if not has_written:
            return
        self._has_failed = False
        kept = runner.message_hub.get_info(_KEPT)
        runner.message_hub.update_info(_KEPT, kept[-self.max_keep_ckpts :] if self.max_keep_ckpts > 0 else kept)

    def _tell_failure(self, runner: Runner, error: OSError) -> None:
        self._has_failed = True
        kept = [name for name in runner.message_hub.get_info(_KEPT) if Path(self.out_dir, name).is_file()]
        runner.message_hub.update_info(_KEPT, kept)
        older = f'{kept[-1]} is intact' if kept else 'there is none before it'
        room = shutil.disk_usage(self.out_dir).free
        runner.logger.error(
            f'checkpoint {self.last_ckpt} was not written: {error.strerror or error} ({room / 2**20:.0f} MB are free); '
            f'{older}'
        )


def check_finite(model: nn.Module, iteration: int) -> None:
    """Raise ``UserError`` if a parameter is not finite after so many iterations, in all processes alike."""
    if not are_finite(model.parameters()):
        raise UserError(
            f'weights of the model are not finite after {iteration} iterations, and no checkpoint is written of '
            'them: lower base_lr, or clip gradients (optim_wrapper.clip_grad.max_norm=1); then --resume from the last '
            'checkpoint'
        )
