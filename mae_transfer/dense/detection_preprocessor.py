"""Normalise the images of detectors."""

from __future__ import annotations

from mmdet.models.data_preprocessors import DetDataPreprocessor

from ..registry import MODELS
from .preprocessor import BandsPreprocessor


@MODELS.register_module()
class DetPreprocessor(BandsPreprocessor, DetDataPreprocessor):
    """MMDetection's ``DetDataPreprocessor`` for images of any number of channels.

    Args:
        mean, std: one value for each channel, on the scale of the files.
        **kwargs: passed to ``DetDataPreprocessor``.
    """
