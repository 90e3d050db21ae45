"""The base of all data sets of image files: each item is made from one image and one seed."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from PIL import Image
from torch.utils.data import Dataset

from ...errors import UserError, is_whole
from ...paths import shown
from ..files.examination import MOST_EXAMINED
from ..files.image_files import evenly
from ..files.image_limits import decoding_up_to
from ..files.image_reader import UNREADABLE, UnexpectedValues
from ..files.unreadable import UnreadableError, not_left_out, why_unreadable
from ..seeds import seeded
from .crops import Pixels

#: What a sampler yields: an index, or ``(index, seed)`` from a ``SeededSampler``.
Key = int | tuple[int, int]

#: The most pixels of an image, by default: OpenCV's limit, which the photos of detection and segmentation have.
MAX_PIXELS = 2**30


def pixel_limit(max_pixels: int | None) -> int | None:
    """The setting ``max_pixels``; raises ``UserError`` for what is no number of pixels."""
    if max_pixels is not None and not is_whole(max_pixels, 1):
        raise UserError(f'max_pixels is a number of pixels, 1 or more, or None for no limit; found {max_pixels!r}')
    return max_pixels


class _Fault(NamedTuple):
    """Why an image cannot be read: the reason in a few words, '' where it cannot be told; the line for an evaluation,
    which leaves no image out; and the error that reading ended with."""

    reason: str
    line: str
    error: Exception


class ImageDataset(Dataset):
    """Base of data sets that make each item from one image.

    To add your own data set, derive from this class, and register the subclass with ``@DATASETS.register_module()``. It
    calls ``__init__`` and implements four methods; ``index`` is an int from 0 to N - 1:

    - ``__len__() -> int``: the number N of images.
    - ``name(index) -> str``: the path of an image relative to ``root``, which messages and ``skipped`` contain.
    - ``read(index) -> PIL.Image.Image | numpy.ndarray``: the decoded image, of any size, in the form that ``item``
      expects: usually a PIL image of mode 'RGB', or an array (H, W, C). An
      :class:`~mae_transfer.data.files.image_reader.ImageReader` gives either. If the image cannot be read, it raises
      one of :data:`UNREADABLE`. Pillow decodes an opened file only when its pixels are needed, so call ``convert`` or
      ``load`` in this method.
    - ``item(image, index, seed) -> dict``: the item made from what ``read(index)`` returned. Python's, NumPy's and
      torch's random generators start from ``seed``, an int from 0 to 2**63 - 1, so ``item`` draws from them as usual.

    The dict of ``item`` contains what the data loader's ``collate_fn`` needs:

    - for pre-training (``collate_photos``): ``inputs``, a uint8 tensor (C, h, w) that is not normalised yet, of the
      same shape for all images; ``seeds``, an int from which the masking follows, normally ``seed``;
    - for classification (``collate_labelled``): ``inputs`` as above; ``labels``, an int, 0 for the first class;
      ``indices``, which must be ``index``, because metrics count each index once;
    - for another ``collate_fn``: any keys. ``indices``, if present, is translated to the wrapper's index in
      ``ConcatDataset``, ``RepeatDataset`` and ``ClassBalancedDataset``; all other values are passed on unchanged.

    :meth:`__getitem__` adds ``skipped``, a list of str: the names of the unreadable images that were skipped.

    If its images have labels, the subclass also

    - passes ``metainfo`` to ``__init__``: ``classes``, a tuple of the class names in label order, and optionally
      ``present``, a sorted tuple of the labels that occur (default: all), among which ``Accuracy`` compares scores;
    - implements ``get_cat_ids(index) -> list[int]``: the labels of an image, for ``ClassBalancedDataset``;
    - may have a static method ``label_space(**settings) -> LabelSpace``, given the settings of its config: the classes,
      found without reading images. With it, the classes of the training data, the validation data and the model are
      compared before anything is built.

    In return, a subclass works with ``SeededSampler``, which makes items independent of the number of processes and
    workers, and with the three wrappers.

    Args:
        root: the folder of the images, for messages.
        training: for items that are requested without a seed: True draws a new seed from torch's generator each time,
            False uses the index as the seed.
        skip_unreadable: True replaces an unreadable image by the next readable one; False raises ``UserError``, for
            evaluation, which a replaced image would falsify.
        metainfo: what MMEngine passes to metrics and visualizers.

    Attributes:
        max_pixels: the most pixels of an image, a limit against files that would fill the memory; None for no limit. A
            larger image is not read: it counts as unreadable, for a reason that is told.
        seeded: context manager, given a seed, that seeds the generators while ``item`` runs. A subclass whose ``item``
            draws only from torch's generator may set ``seeded = staticmethod(torch_seeded)``, which is faster.
    """

    root: Path
    training: bool
    skip_unreadable: bool
    max_pixels: int | None = MAX_PIXELS
    seeded: Callable[[int], AbstractContextManager] = staticmethod(seeded)

    def __init__(
        self, root: Path, training: bool, skip_unreadable: bool, metainfo: dict[str, Any] | None = None
    ) -> None:
        self.root, self.training, self.skip_unreadable = root, training, skip_unreadable
        self._metainfo = metainfo or {}

    @property
    def metainfo(self) -> dict[str, Any]:
        """What MMEngine passes to metrics and visualizers, such as ``classes``."""
        return self._metainfo

    def full_init(self) -> None:
        """Do nothing: ``__init__`` is complete. MMEngine's wrappers call it."""

    @abstractmethod
    def __len__(self) -> int:
        """Number of images."""

    @abstractmethod
    def name(self, index: int) -> str:
        """The path of an image, relative to :attr:`root`."""

    @abstractmethod
    def read(self, index: int) -> Pixels:
        """The decoded image; raises one of :data:`UNREADABLE` if it cannot be read."""

    def read_for(self, index: int, seed: int) -> Any:
        """What ``item`` is given: the image of ``read``; a subclass may read only what the item of the seed needs."""
        return self.read(index)

    @abstractmethod
    def item(self, image: Pixels, index: int, seed: int) -> dict[str, Any]:
        """The item made from an image, without ``skipped``; random generators are seeded already."""

    def why_unreadable(self, index: int, error: Exception) -> str:
        """Why an image cannot be read, in a few words; '' where it cannot be told. For files that are no files of
        their own a subclass says it."""
        return why_unreadable(self.root / self.name(index), error)

    def get_cat_ids(self, index: int) -> list[int]:
        """The labels of an image, for ``ClassBalancedDataset``; raises ``UserError`` for images without labels."""
        raise UserError(f'ClassBalancedDataset needs labels, but the images in {self.root} have none')

    def __getitem__(self, key: Key) -> dict[str, Any]:
        """The item of an index, or of ``(index, seed)``, with ``skipped``; see the class.

        Raises:
            UserError: the image is unreadable, and ``skip_unreadable`` is False or no image can be read.
            IndexError: ``index`` is not in 0..N-1. Iteration ends by it.
        """
        index, seed = key if isinstance(key, tuple) else (key, None)
        if not 0 <= index < len(self):
            raise IndexError(index)
        if seed is None:
            seed = int(torch.randint(2**62, ())) if self.training else index
        image, index, skipped = self._next_readable(index, seed)
        with self.seeded(seed):
            return dict(self.item(image, index, seed), skipped=skipped)

    def own_item(self, index: int) -> dict[str, Any]:
        """The item of an image itself, never of another one, with the image's number as its seed.

        Raises:
            UnreadableError: the image cannot be read.
        """
        image, fault = self._readable(index, index)
        if fault is not None:
            raise UnreadableError(str(self.root / self.name(index)), fault.reason) from fault.error
        with self.seeded(index):
            return dict(self.item(image, index, index), skipped=[])

    def check_readable(self) -> None:
        """Read some images, evenly spaced, of data that is used only after hours of training.

        Raises:
            UserError: as for an item.
        """
        for index in evenly(len(self), MOST_EXAMINED):
            self._next_readable(index, index)

    def _readable(self, index: int, seed: int) -> tuple[Any, _Fault | None]:
        """An image, or why it cannot be read."""
        path = self.root / self.name(index)
        try:
            with decoding_up_to(self.max_pixels):
                return self.read_for(index, seed), None
        except UserError:
            raise
        except Image.DecompressionBombError as error:
            pixels = re.findall(r'\d+', str(error))  # of the image, the limit
            reason = f'has {int(pixels[0]):,} pixels, more than max_pixels={self.max_pixels:,}'
            advice = 'choose more for the data set, if the memory suffices: an evaluation leaves no image out'
            return None, _Fault(reason, f'{shown(path)} {reason}: {advice}', error)
        except UnexpectedValues as error:
            return None, _Fault(str(error), f'{shown(path)} {error}', error)
        except UNREADABLE as error:
            reason = self.why_unreadable(index, error)
            return None, _Fault(reason, not_left_out(path, reason), error)

    def _next_readable(self, index: int, seed: int) -> tuple[Any, int, list[str]]:
        """The first readable image from ``index`` on, its index, and the names of the unreadable ones before it."""
        skipped: list[str] = []
        for step in range(len(self)):
            candidate = (index + step) % len(self)
            image, fault = self._readable(candidate, seed)
            if fault is None:
                return image, candidate, skipped
            if not self.skip_unreadable:
                raise UserError(fault.line) from fault.error
            skipped.append(f'{self.name(candidate)} ({fault.reason})' if fault.reason else self.name(candidate))
        raise UserError(
            f'none of the {len(self)} images in {shown(self.root)} can be read: {shown(skipped[0])} is the first'
        )
