"""Unreadable photos are skipped, counted and named."""

from __future__ import annotations

from mmengine.dist import all_gather_object
from mmengine.hooks import Hook

from ..registry import HOOKS


@HOOKS.register_module()
class SkippedPhotosHook(Hook):
    """Name each photo that could not be read when it is first met, and all of them when training or testing ends."""

    priority = 'BELOW_NORMAL'

    def __init__(self):
        self.met: set[str] = set()

    def after_train_iter(self, runner, batch_idx: int, data_batch: dict | None = None, outputs=None) -> None:
        """Note what the data loader skipped on the way to this batch."""
        for name in (data_batch or {}).get('skipped', ()):
            if name not in self.met:
                self.met.add(name)
                runner.logger.warning(f'unreadable photo skipped: {name}')

    after_val_iter = after_test_iter = after_train_iter

    def after_train(self, runner) -> None:
        """Report the count and the names, over all processes."""
        names = sorted(set().union(*all_gather_object(self.met)))
        if names:
            shown = ', '.join(names[:20]) + (f' and {len(names) - 20} more' if len(names) > 20 else '')
            runner.logger.warning(f'{len(names)} unreadable photos were skipped: {shown}')

    after_test = after_train
