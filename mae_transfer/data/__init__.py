"""Data sets, crops, samplers, and the synthetic demo scenes."""

from .corruptions import ImageNetC
from .crops import CentreCrop, FineTuneCrop, ProbeCrop
from .image_dataset import ImageDataset
from .labelled import LabelledImages, LabelledPhotos, LabelSpace, collate_labelled
from .photo_pairs import PhotoPairs
from .photos import Photos, collate_photos
from .same_classes import check_same_classes
from .sampler import SeededSampler
from .wrappers import ClassBalancedDataset, ConcatDataset, RepeatDataset

__all__ = [
    'CentreCrop',
    'ClassBalancedDataset',
    'ConcatDataset',
    'FineTuneCrop',
    'ImageDataset',
    'ImageNetC',
    'LabelSpace',
    'LabelledImages',
    'LabelledPhotos',
    'PhotoPairs',
    'Photos',
    'ProbeCrop',
    'RepeatDataset',
    'SeededSampler',
    'check_same_classes',
    'collate_labelled',
    'collate_photos',
]
