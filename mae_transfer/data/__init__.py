"""Data sets, crops, samplers, and the synthetic demo scenes."""

from .photos.corruptions import ImageNetC
from .photos.crops import CentreCrop, FineTuneCrop
from .photos.image_dataset import ImageDataset
from .photos.labelled import LabelledImages, LabelledPhotos, LabelSpace, collate_labelled
from .photos.pairs import PhotoPairs
from .photos.random_crop import ProbeCrop
from .photos.same_classes import check_same_classes
from .photos.two_sizes import PhotosInTwoSizes
from .photos.unlabelled import Photos, collate_photos
from .photos.wrappers import ClassBalancedDataset, ConcatDataset, RepeatDataset
from .samplers import SeededInfiniteSampler, SeededSampler

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
    'PhotosInTwoSizes',
    'ProbeCrop',
    'RepeatDataset',
    'SeededInfiniteSampler',
    'SeededSampler',
    'check_same_classes',
    'collate_labelled',
    'collate_photos',
]
