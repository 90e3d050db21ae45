"""Report the photos that could not be read."""

from __future__ import annotations

from mmengine.dist import all_gather_object
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ..errors import shorten
from ..paths import shown
from ..registry import HOOKS


@HOOKS.register_module()
class SkippedPhotosHook(Hook):
    """Name each unreadable photo when it is first skipped, and all of them when training or testing ends.

    Before training, some images of the first evaluation are read.
    """

    priority = 'BELOW_NORMAL'

    def __init__(self) -> None:
        self.skipped: set[str] = set()

    def before_train(self, runner: Runner) -> None:
        """Read some images of the first evaluation, which may be hours away; raises ``UserError``."""
        dataset = None if runner.val_loop is None else runner.val_loop.dataloader.dataset
        if dataset is not None and hasattr(dataset, 'check_readable'):
            dataset.check_readable()

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None, outputs: dict | None = None
    ) -> None:
        """Log the photos that the data loader skipped while it made this batch."""
        for name in (data_batch or {}).get('skipped', ()):
            if name not in self.skipped:
                self.skipped.add(name)
                runner.logger.warning(f'unreadable photo skipped: {shown(name)}')

    after_val_iter = after_test_iter = after_train_iter

    def after_train(self, runner: Runner) -> None:
        """Log number and names of the photos that any process skipped."""
        if summary := skipped_summary(self.skipped):
            runner.logger.warning(summary)

    after_test = after_train


def skipped_summary(skipped: set[str], what: str = 'photos') -> str | None:
    """One line with the number of skipped photos of all processes and up to 20 of their names; None if there are none.

    Every process must call it at the same time.

    Args:
        skipped: names of the photos that this process skipped.
        what: what the line calls them.
    """
    names = sorted(set().union(*all_gather_object(skipped)))
    if not names:
        return None
    return f'{len(names)} unreadable {what} were skipped: {shorten(map(shown, names), 20)}'
