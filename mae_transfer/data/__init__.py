"""Datasets, decoding, crops, samplers, and the made-up demo scenes."""

from .corruptions import ImageNetC
from .crops import CentreCrop, FineTuneCrop, ProbeCrop
from .labelled import LabelledPhotos, collate_labelled
from .photos import Photos, collate_photos
from .same_classes import check_same_classes
from .sampler import SeededSampler

__all__ = [
    'CentreCrop',
    'FineTuneCrop',
    'ImageNetC',
    'LabelledPhotos',
    'Photos',
    'ProbeCrop',
    'SeededSampler',
    'check_same_classes',
    'collate_labelled',
    'collate_photos',
]
