"""The log of a run of several processes."""

from __future__ import annotations

from mmengine.dist import master_only
from mmengine.hooks import LoggerHook

from ..registry import HOOKS


@HOOKS.register_module()
class MainProcessLoggerHook(LoggerHook):
    """MMEngine's ``LoggerHook``, except that the main process alone writes the metrics of a test.

    MMEngine has every process write the same file, at the same moment: now and then what is left is no JSON.
    """

    @master_only
    def after_test_epoch(self, runner, metrics: dict | None = None) -> None:
        """Log the metrics and write them to ``<timestamp>.json``."""
        super().after_test_epoch(runner, metrics)
