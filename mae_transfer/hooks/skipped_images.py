"""Report the images that could not be read, and end a run of which too many cannot."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mmengine.dist import all_gather_object, is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ..errors import UserError, is_number, shorten
from ..paths import shown
from ..registry import HOOKS

#: How many images are drawn before their share is judged; fewer if the data set has fewer.
_JUDGED = 200


@HOOKS.register_module()
class SkippedImagesHook(Hook):
    """Name each unreadable image when it is first skipped, and all of them when training or testing ends.

    The list is in ``skipped_images.txt`` in the work_dir, a line for each. Before training, some images of the first
    evaluation are read.

    Args:
        max_bad_share: the share of unreadable ones among the images that a process has drawn, from 0 to 1; more end
            the run.
    """

    priority = 'BELOW_NORMAL'

    def __init__(self, max_bad_share: float = 0.1) -> None:
        if not is_number(max_bad_share) or not 0 <= max_bad_share <= 1:
            raise UserError(f'SkippedImagesHook.max_bad_share is a share, from 0 to 1; found {max_bad_share!r}')
        self.max_bad_share = max_bad_share
        self.skipped: set[str] = set()
        self._drawn = 0

    def before_train(self, runner: Runner) -> None:
        """Read some images of the first evaluation, which may be hours away; raises ``UserError``."""
        dataset = None if runner.val_loop is None else runner.val_loop.dataloader.dataset
        if dataset is not None and hasattr(dataset, 'check_readable'):
            dataset.check_readable()
        if not runner.iter and is_main_process():
            _list_of(runner).unlink(missing_ok=True)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None, outputs: dict | None = None
    ) -> None:
        """Log the images that the data loader skipped while it made this batch; raises ``UserError`` for too many."""
        skipped = skipped_in(data_batch)
        self._tell(runner, skipped)
        loader = runner.train_dataloader
        self._drawn += (loader.batch_size or 1) + len(skipped)
        drawn = min(self._drawn, len(loader.dataset))  # later epochs draw them again
        if drawn >= min(_JUDGED, len(loader.dataset)) and len(self.skipped) > self.max_bad_share * drawn:
            raise UserError(
                f'{len(self.skipped)} of {drawn} images cannot be read, more than max_bad_share='
                f'{self.max_bad_share:g}: repair those listed in {_list_of(runner)}, or allow more, --cfg-options '
                'default_hooks.skipped_images.max_bad_share=1'
            )

    def after_val_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None, outputs: Any = None
    ) -> None:
        """Log the photos that the data loader skipped while it made this batch."""
        self._tell(runner, (data_batch or {}).get('skipped', ()))

    after_test_iter = after_val_iter

    def _tell(self, runner: Runner, skipped: Iterable[str]) -> None:
        new = [name for name in dict.fromkeys(skipped) if name not in self.skipped]
        self.skipped.update(new)
        for name in new:
            runner.logger.warning(f'unreadable image skipped: {shown(name)}')
        if new:
            try:
                with _list_of(runner).open('a') as file:  # by all processes
                    file.write(''.join(f'{shown(name)}\n' for name in new))
            except OSError as error:
                runner.logger.error(f'{_list_of(runner)} is not complete: {error.strerror or error}')

    def after_train(self, runner: Runner) -> None:
        """Log number and names of the images that any process skipped."""
        if summary := skipped_summary(self.skipped):
            runner.logger.warning(summary)

    after_test = after_train


def _list_of(runner: Runner) -> Path:
    return Path(runner.work_dir, 'skipped_images.txt')


def skipped_in(batch: dict | None) -> list[str]:
    """The names of the images that were skipped while a training's batch was made, with their reasons.

    Args:
        batch: of photos, with ``skipped``, or of detection and segmentation, whose ``data_samples`` have it.
    """
    batch = batch or {}
    samples = batch.get('data_samples') or ()
    return [*batch.get('skipped', ()), *(name for sample in samples for name in sample.metainfo.get('skipped', ()))]


def skipped_summary(skipped: set[str], what: str = 'images') -> str | None:
    """One line with the number of skipped images of all processes and up to 20 of their names; None if there are none.

    Every process must call it at the same time.

    Args:
        skipped: names of the images that this process skipped.
        what: what the line calls them.
    """
    names = sorted(set().union(*all_gather_object(skipped)))
    if not names:
        return None
    return f'{len(names)} unreadable {what} were skipped: {shorten(map(shown, names), 20)}'
