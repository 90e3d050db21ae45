"""Normalise the images of segmentors."""

from __future__ import annotations

from mmseg.models.data_preprocessor import SegDataPreProcessor

from ..registry import MODELS
from .preprocessor import BandsPreprocessor


@MODELS.register_module()
class SegPreprocessor(BandsPreprocessor, SegDataPreProcessor):
    """MMSegmentation's ``SegDataPreProcessor`` for images of any number of channels.

    Args:
        mean, std: one value for each channel, on the scale of the files.
        **kwargs: passed to ``SegDataPreProcessor``.
    """
