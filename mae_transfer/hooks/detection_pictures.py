"""Pictures of detected objects, on images of any bands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from mmdet.engine.hooks import DetVisualizationHook
from mmengine.runner import Runner

from ..data.files.bands import Bands
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

    def add(self, runner: Runner, split: str, picture: np.ndarray, sample: Any, step: int) -> None:
        """See the base class; tests write files below ``test_out_dir``."""
        out_file = None
        if split == 'test' and self.test_out_dir is not None:
            folder = Path(runner.work_dir, runner.timestamp, self.test_out_dir)
            folder.mkdir(parents=True, exist_ok=True)
            out_file = str(folder / f'{Path(sample.img_path).stem}.png')
        self._visualizer.add_datasample(
            Path(sample.img_path).name if self.show else f'{split}_img',
            picture,
            data_sample=sample,
            show=self.show,
            wait_time=self.wait_time,
            pred_score_thr=self.score_thr,
            step=step,
            out_file=out_file,
        )
