"""Pictures of predicted classes, on images of any bands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from mmengine.runner import Runner
from mmseg.engine.hooks import SegVisualizationHook

from ..data.files.bands import Bands
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

    def add(self, runner: Runner, split: str, picture: np.ndarray, sample: Any, step: int) -> None:
        """See the base class."""
        self._visualizer.add_datasample(
            f'{split}_{Path(sample.img_path).name}',
            picture,
            data_sample=sample,
            show=self.show,
            wait_time=self.wait_time,
            step=step,
        )
