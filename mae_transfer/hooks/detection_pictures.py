"""Pictures of detected objects, on images of any bands."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmdet.engine.hooks import DetVisualizationHook
from mmengine.runner import Runner

from ..data.bands import Bands
from ..registry import HOOKS
from .band_pictures import BandPictures


@HOOKS.register_module()
class DetectionPictures(BandPictures, DetVisualizationHook):
    """MMDetection's ``DetVisualizationHook`` for images of any bands.

    Args:
        bands_shown: for other bands than 'RGB': one or three that pictures show, by their numbers in the files; by
            default the first three.
        draw, interval, score_thr, show, wait_time, test_out_dir, backend_args: of ``DetVisualizationHook``.
    """

    def __init__(
        self,
        draw: bool = False,
        interval: int = 50,
        score_thr: float = 0.3,
        show: bool = False,
        wait_time: float = 0.0,
        test_out_dir: str | None = None,
        backend_args: dict | None = None,
        bands_shown: Bands | None = None,
    ) -> None:
        super().__init__(draw, interval, score_thr, show, wait_time, test_out_dir, backend_args)
        self.bands_shown = bands_shown

    def after_val_iter(self, runner: Runner, batch_idx: int, data_batch: dict, outputs: Sequence[Any]) -> None:
        """Draw the first image of a batch, at every ``interval``-th one."""
        drawn = self.pictures(runner, runner.val_dataloader, outputs[:1]) if self.draw else None
        if drawn is None:
            return super().after_val_iter(runner, batch_idx, data_batch, outputs)
        step = runner.iter + batch_idx
        if step % self.interval == 0:
            for picture, sample in drawn:
                self._add('val_img', picture, sample, step)

    def after_test_iter(self, runner: Runner, batch_idx: int, data_batch: dict, outputs: Sequence[Any]) -> None:
        """Draw all images of a batch."""
        drawn = self.pictures(runner, runner.test_dataloader, outputs) if self.draw else None
        if drawn is None:
            return super().after_test_iter(runner, batch_idx, data_batch, outputs)
        for picture, sample in drawn:
            self._test_index += 1
            out_file = None
            if self.test_out_dir is not None:
                folder = Path(runner.work_dir, runner.timestamp, self.test_out_dir)
                folder.mkdir(parents=True, exist_ok=True)
                out_file = str(folder / f'{Path(sample.img_path).stem}.png')
            self._add('test_img', picture, sample, self._test_index, out_file=out_file)

    def _add(self, name: str, picture: Any, sample: Any, step: int, **settings: Any) -> None:
        self._visualizer.add_datasample(
            Path(sample.img_path).name if self.show else name,
            picture,
            data_sample=sample,
            show=self.show,
            wait_time=self.wait_time,
            pred_score_thr=self.score_thr,
            step=step,
            **settings,
        )
