"""Which items a forward pass was made of."""

from __future__ import annotations

import copy
import os
from itertools import islice
from typing import Any

from mmengine.dataset import InfiniteSampler
from torch.utils.data import DataLoader

from ..data.photos.image_dataset import ImageDataset


def items_of(loader: DataLoader, iteration: int) -> list[tuple[str, int | None]]:
    """The files of this process's batch, and the seeds from which all that is random about them follows.

    Args:
        loader: of the training, with one of our samplers; of others nothing is known.
        iteration: forward passes before this one since the run began.
    """
    sampler: Any = copy.copy(loader.sampler)
    size = loader.batch_size
    if not hasattr(sampler, 'skip') or size is None:
        return []
    if not isinstance(sampler, InfiniteSampler):
        epoch, iteration = divmod(iteration, len(loader))
        sampler.set_epoch(epoch)
    sampler.skip(iteration * size)
    keys = (key if isinstance(key, tuple) else (key, None) for key in islice(sampler, size))
    return [(file_of(loader.dataset, index), seed) for index, seed in keys]


def file_of(dataset: Any, index: int) -> str:
    """The path of an item's image; of a data set that does not tell it, the item's number."""
    while hasattr(dataset, 'locate'):  # our wrappers
        dataset, index = dataset.locate(index)
    if isinstance(dataset, ImageDataset):
        return os.path.join(dataset.root, dataset.name(index))
    if hasattr(dataset, 'get_data_info'):  # MMEngine's
        return dataset.get_data_info(index).get('img_path', f'item {index}')
    return f'item {index}'
