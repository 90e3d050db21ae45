"""A logger whose main process alone writes the metrics of a test."""

from __future__ import annotations

from mmengine.dist import master_only
from mmengine.hooks import LoggerHook
from mmengine.runner import Runner

from ..registry import HOOKS


@HOOKS.register_module()
class MainProcessLoggerHook(LoggerHook):
    """MMEngine's ``LoggerHook``, except that only the main process writes the metrics of a test.

    In MMEngine all processes write the same file at the same time, and sometimes the result is not valid JSON.
    """

    @master_only
    def after_test_epoch(self, runner: Runner, metrics: dict | None = None) -> None:
        """Log the metrics and write them to ``<timestamp>.json``."""
        super().after_test_epoch(runner, metrics)
