"""Pictures of predictions on images of any bands: what the hooks of detection and segmentation share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ..data.files.bands import Bands
from ..data.files.image_reader import ImageReader
from ..data.files.loading import reader_of
from ..visualization.shown_bands import shown_bands


class BandPictures(Hook):
    """Draws on chosen bands, stretched, where the libraries' hooks would read an image file as 8-bit colours.

    Its subclasses derive from a hook of MMDetection or MMSegmentation as well, which draws wherever the images are
    8-bit colours or greys as OpenCV reads them. Which bands a picture shows, and which of their values are black and
    white, is said in the log.

    Attributes:
        bands_shown: one or three bands, by their numbers in the files; None for the first three.
        draw, interval, show, wait_time: of the library's hook.
    """

    bands_shown: Bands | None = None
    draw: bool
    interval: int
    show: bool
    wait_time: float
    _test_index: int
    _visualizer: Any

    def add(self, runner: Runner, split: str, picture: np.ndarray, sample: Any, step: int) -> None:
        """Draw a prediction on a picture as the library's hook does; ``split`` is 'val' or 'test'."""
        raise NotImplementedError

    def before_train(self, runner: Runner) -> None:
        """Raise now, not at the first picture, if ``bands_shown`` are not among the bands."""
        self._check(runner.train_dataloader)

    def before_test(self, runner: Runner) -> None:
        """As :meth:`before_train`."""
        self._check(runner.test_dataloader)

    def _check(self, loader: Any) -> None:
        reader = _reader_of(loader)
        if reader is not None and self.bands_shown is not None:
            shown_bands(reader.bands, self.bands_shown)

    def after_val_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Draw the first image of a batch, at every ``interval``-th one."""
        drawn = self._pictures(runner, runner.val_dataloader, outputs[:1]) if self.draw else None
        if drawn is None:
            return super().after_val_iter(runner, batch_idx, data_batch, outputs)
        step = runner.iter + batch_idx
        if step % self.interval == 0:
            for picture, sample in drawn:
                self.add(runner, 'val', picture, sample, step)

    def after_test_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Draw all images of a batch."""
        drawn = self._pictures(runner, runner.test_dataloader, outputs) if self.draw else None
        if drawn is None:
            return super().after_test_iter(runner, batch_idx, data_batch, outputs)
        for picture, sample in drawn:
            self._test_index += 1
            self.add(runner, 'test', picture, sample, self._test_index)

    def _pictures(self, runner: Runner, loader: Any, samples: Sequence[Any]) -> Iterator[tuple[np.ndarray, Any]] | None:
        """The picture of the image of each sample, (H, W, 3) uint8, with the sample; None where the library's hook may
        draw."""
        reader = _reader_of(loader)
        if reader is None or (reader.mode is not None and reader.exif_orientation):
            return None
        return ((self._picture(runner, reader, sample.img_path), sample) for sample in samples)

    def _picture(self, runner: Runner, reader: ImageReader, path: str) -> np.ndarray:
        shown, image = shown_bands(reader.bands, self.bands_shown), reader(Path(path))
        if shown is None:
            return np.array(image.convert('RGB'))  # type: ignore[union-attr]  # 'RGB' and 'L' give PIL images
        stretch = shown.stretch(np.asarray(image))
        runner.logger.info(f'picture of {path}: {stretch.caption()}')
        return stretch.picture(np.asarray(image))


def _reader_of(loader: Any) -> ImageReader | None:
    """The reader of a data loader's images, also within wrappers of data sets."""
    dataset = getattr(loader, 'dataset', None)
    while dataset is not None and not hasattr(dataset, 'pipeline'):
        dataset = getattr(dataset, 'dataset', None) or next(iter(getattr(dataset, 'datasets', ())), None)
    return None if dataset is None else reader_of(dataset.pipeline)
