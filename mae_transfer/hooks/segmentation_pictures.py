"""Pictures of predicted classes, on images of any bands."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.runner import Runner
from mmseg.engine.hooks import SegVisualizationHook

from ..data.bands import Bands
from ..registry import HOOKS
from .band_pictures import BandPictures


@HOOKS.register_module()
class SegmentationPictures(BandPictures, SegVisualizationHook):
    """MMSegmentation's ``SegVisualizationHook`` for images of any bands.

    Args:
        bands_shown: for other bands than 'RGB': one or three that pictures show, by their numbers in the files; by
            default the first three.
        draw, interval, show, wait_time, backend_args: of ``SegVisualizationHook``.
    """

    def __init__(
        self,
        draw: bool = False,
        interval: int = 50,
        show: bool = False,
        wait_time: float = 0.0,
        backend_args: dict | None = None,
        bands_shown: Bands | None = None,
    ) -> None:
        super().__init__(draw, interval, show, wait_time, backend_args)
        self.bands_shown = bands_shown

    def after_val_iter(self, runner: Runner, batch_idx: int, data_batch: dict, outputs: Sequence[Any]) -> None:
        """Draw the first image of a batch, at every ``interval``-th one."""
        drawn = self.pictures(runner, runner.val_dataloader, outputs[:1]) if self.draw else None
        if drawn is None:
            return super().after_val_iter(runner, batch_idx, data_batch, outputs)
        step = runner.iter + batch_idx
        if step % self.interval == 0:
            for picture, sample in drawn:
                self._add('val', picture, sample, step)

    def after_test_iter(self, runner: Runner, batch_idx: int, data_batch: dict, outputs: Sequence[Any]) -> None:
        """Draw all images of a batch."""
        drawn = self.pictures(runner, runner.test_dataloader, outputs) if self.draw else None
        if drawn is None:
            return super().after_test_iter(runner, batch_idx, data_batch, outputs)
        for picture, sample in drawn:
            self._test_index += 1
            self._add('test', picture, sample, self._test_index)

    def _add(self, split: str, picture: Any, sample: Any, step: int) -> None:
        self._visualizer.add_datasample(
            f'{split}_{Path(sample.img_path).name}',
            picture,
            data_sample=sample,
            show=self.show,
            wait_time=self.wait_time,
            step=step,
        )
