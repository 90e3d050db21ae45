"""Say so where the mean and the standard deviation of a config do not fit the images."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import nn

from ..data.files.channel_statistics import ChannelStatistics, as_tuple
from ..errors import shorten
from ..registry import HOOKS

#: What no photo reaches under ImageNet's statistics: black is -2.1, white 2.7 there.
MOST_MEAN = 3.0
#: Photos of 8 bits are below 2.3 under ImageNet's.
MOST_STD = 4.0
#: 0..1 under statistics for 0..255 is below .01; photos of 8 bits scaled to 0..1, as a dVAE has them, are at .25.
LEAST_STD = 0.02
#: Values that differ much less than they are off zero: 12 bits under statistics for 16 bits.
LEAST_STD_OFF_ZERO, OFF_ZERO = 0.1, 1.0


def is_far_off(mean: np.ndarray, std: np.ndarray) -> np.ndarray:
    """Which channels, by mean and deviation after normalisation, are not what their settings mean them to be.

    The limits are wide: only values on another scale are beyond them, not photos that are dark, bright or of little
    contrast.
    """
    far = (np.abs(mean) > MOST_MEAN) | (std > MOST_STD) | (std < LEAST_STD)
    return far | (std < LEAST_STD_OFF_ZERO) & (np.abs(mean) > OFF_ZERO)


@HOOKS.register_module()
class InputStatisticsHook(Hook):
    """Measure the normalised images of the first batches, and warn if they are far from zero mean and unit deviation.

    It looks at what ``model.data_preprocessor`` is given and what it returns, in the main process, and changes nothing.
    Pixels that are exactly zero in all channels are left out: padding.

    Args:
        batches: number of batches that are measured.
    """

    def __init__(self, batches: int = 4) -> None:
        self.batches = batches
        self._left = 0
        self._handle: Any = None

    def before_train(self, runner: Runner) -> None:
        """Begin to measure."""
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        preprocessor = getattr(model, 'data_preprocessor', None)
        if is_main_process() and isinstance(preprocessor, nn.Module):
            self._left, self._given, self._returned = self.batches, ChannelStatistics(), ChannelStatistics()
            self._preprocessor = preprocessor
            self._handle = preprocessor.register_forward_hook(self._measure)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None, outputs: dict | None = None
    ) -> None:
        """Count the batch; warn after the last one that is measured."""
        if self._handle is not None:
            self._left -= 1
            if self._left <= 0:
                self._finish(runner)

    def after_train(self, runner: Runner) -> None:
        """Warn now if the run had fewer batches."""
        if self._handle is not None:
            self._finish(runner)

    def _measure(self, preprocessor: nn.Module, arguments: tuple, result: Any) -> None:
        given, returned = (
            data.get('inputs') if isinstance(data, dict) else None
            for data in (arguments[0] if arguments else None, result)
        )
        # BGR becomes RGB in MMEngine's preprocessors, which keep this setting under a private name.
        swapped = getattr(preprocessor, '_channel_conversion', False)
        for image in _images(given):
            self._given.add(image[..., ::-1] if swapped and image.shape[-1] == 3 else image)
        for image in _images(returned):
            self._returned.add(image[(image != 0).any(-1)])

    def _finish(self, runner: Runner) -> None:
        self._handle.remove()
        self._handle = None
        if line := self._warning():
            runner.logger.warning(line)

    def _warning(self) -> str | None:
        """The warning, if there is a reason for one."""
        mean, std = self._returned.mean, self._returned.std
        far = np.flatnonzero(is_far_off(mean, std))
        if not self._given.images or not len(far):
            return None
        first = far[0]
        more = f', and {len(far) - 1} more channels are as far off' if len(far) > 1 else ''
        own = [getattr(self._preprocessor, name, None) for name in ('mean', 'std')]
        config = ' and '.join(
            as_tuple(float(f'{number:.6g}') for number in values.flatten().tolist())
            for values in own
            if isinstance(values, torch.Tensor)
        )
        if constant := [channel + 1 for channel in np.flatnonzero(self._given.std == 0).tolist()]:
            return (
                f'of {len(mean)} channels {shorten(map(str, constant))} have one value everywhere in the '
                f'first {self._given.images} images, and nothing can be learnt from them: leave them out, by bands'
            )
        new_mean, new_std = self._given.settings()
        return (
            f'channel {first + 1} of the normalised images has mean {mean[first]:.4g} and deviation {std[first]:.4g}, '
            f'where about 0 and 1 are expected{more}: mean and std of the config are {config or "not set"}; measured '
            f'on the first {self._given.images} images, on the scale of the files: mean={new_mean} std={new_std}: set '
            'these'
        )


def _images(batch: Any) -> list[np.ndarray]:
    """The images of a batch, a tensor (B, C, H, W), or (B, V, C, H, W) with V views of each, or a list of (C, H, W),
    as arrays (H, W, C)."""
    if not isinstance(batch, (torch.Tensor, list, tuple)):
        return []
    parts = [part for part in batch if isinstance(part, torch.Tensor) and part.ndim >= 3]
    images = [image for part in parts for image in part.reshape(-1, *part.shape[-3:])]
    return [image.detach().float().movedim(0, -1).cpu().numpy() for image in images]
