"""What of a run is logged, and when: early, and by the main process alone."""

from __future__ import annotations

import os.path
from typing import Any

from mmengine.dist import master_only
from mmengine.fileio import dump
from mmengine.hooks import LoggerHook
from mmengine.runner import BaseLoop, Runner

from ..progress import Progress
from ..registry import HOOKS
from ..runs.console import FILE_ONLY, GLUE
from ..runs.log_processor import LogProcessor, evaluation_line
from .settings_line import settings_line

#: Forward passes of this process whose values are logged before the first interval.
EARLY = (1, 2, 5, 10, 20)


@HOOKS.register_module()
class MainProcessLoggerHook(LoggerHook):
    """MMEngine's ``LoggerHook``, except that

    - the first lines of a training come early: after 1, 2, 5, 10 and 20 iterations, as far as ``interval`` allows. They
      are counted from where this process begins, so that all processes agree, also after resuming;
    - a run begins with one line of its settings, and evaluations tell their progress and the time left;
    - the console gets shorter lines (:mod:`mae_transfer.runs.console`);
    - only the main process writes the metrics of a test. In MMEngine all processes write the same file at the same
      time, and sometimes the result is not valid JSON.
    """

    _begin = 0
    _evaluated: Progress | None = None

    def before_run(self, runner: Runner) -> None:
        """Log the settings."""
        super().before_run(runner)
        # Private to MMEngine's Runner; its properties would build the loop of a training for a test.
        mode = 'train' if isinstance(runner._train_loop, BaseLoop) else 'test'
        if mode == 'train' or isinstance(runner._test_loop, BaseLoop):
            line = settings_line(runner, mode)
            runner.logger.info(line.replace(GLUE, ' '), extra=dict(console=line))
            runner.logger.info(f'log: {runner.logger.log_file}')

    def before_train(self, runner: Runner) -> None:
        """Note where this process begins."""
        self._begin = runner.iter

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict | None = None
    ) -> None:
        """Log a line where one is due."""
        is_last = self.end_of_epoch(runner.train_dataloader, batch_idx)
        if is_last or self.every_n_train_iters(runner, self.interval_exp_name):
            runner.logger.info(f'Exp name: {runner.experiment_name}', extra=FILE_ONLY)
        done = runner.iter + 1 - self._begin
        is_short = is_last and (not self.ignore_last or len(runner.train_dataloader) <= self.interval)
        is_early = done in EARLY and done < self.interval
        if not (is_early or is_short or self.every_n_inner_iters(batch_idx, self.interval)):
            return
        values, line = runner.log_processor.get_log_after_iter(runner, batch_idx, 'train')
        short = line
        if isinstance(runner.log_processor, LogProcessor):
            short = runner.log_processor.console_line(runner, values, line)
        runner.logger.info(line, extra=dict(console=short))
        runner.visualizer.add_scalars(values, step=runner.iter + 1, file_path=self.json_log_path)

    # Evaluations ------------------------------------------------------------------------------------------------------

    def before_val_epoch(self, runner: Runner) -> None:
        """Begin to tell the progress."""
        self._evaluated = Progress('validation, batches', len(runner.val_dataloader))

    def before_test_epoch(self, runner: Runner) -> None:
        """Begin to tell the progress."""
        self._evaluated = Progress('test, batches', len(runner.test_dataloader))

    def after_val_iter(self, runner: Runner, batch_idx: int, *args: Any, **kwargs: Any) -> None:
        """As MMEngine's, and tell the progress."""
        super().after_val_iter(runner, batch_idx, *args, **kwargs)
        self._tell(batch_idx)

    def after_test_iter(self, runner: Runner, batch_idx: int, *args: Any, **kwargs: Any) -> None:
        """As MMEngine's, and tell the progress."""
        super().after_test_iter(runner, batch_idx, *args, **kwargs)
        self._tell(batch_idx)

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """As MMEngine's, with a shorter line for the console."""
        values, line = runner.log_processor.get_log_after_epoch(runner, len(runner.val_dataloader), 'val')
        runner.logger.info(line, extra=dict(console=evaluation_line(line, values)))
        is_training = isinstance(runner._train_loop, BaseLoop)
        step = 0 if not is_training else runner.epoch if self.log_metric_by_epoch else runner.iter
        runner.visualizer.add_scalars(values, step=step, file_path=self.json_log_path)

    @master_only
    def after_test_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Log the metrics and write them to ``<timestamp>.json``."""
        values, line = runner.log_processor.get_log_after_epoch(
            runner, len(runner.test_dataloader), 'test', with_non_scalar=True
        )
        runner.logger.info(line, extra=dict(console=evaluation_line(line, values)))
        dump(self._process_tags(values), os.path.join(runner.log_dir, self.json_log_path))

    def _tell(self, batch_idx: int) -> None:
        if self._evaluated is not None:
            self._evaluated(batch_idx + 1)
            if batch_idx + 1 == self._evaluated.total:
                self._evaluated.close()
                self._evaluated = None
