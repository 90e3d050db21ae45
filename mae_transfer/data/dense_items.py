"""Items of detection and segmentation: they follow from seeds, and unreadable images are left out of the training."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from ..errors import UserError
from ..paths import shown
from .files.unreadable import UnreadableError
from .seeds import seeded

#: So many unreadable images, one after another, are no accident.
_MOST = 100


class DenseItems:
    """Before a data set of MMEngine's in the bases of a class, which implements :meth:`prepare_readable`.

    Items are also asked for by ``(index, seed)``. All that is random about such an item, in its transforms and in the
    choice of another image for one that has no objects, then follows from the seed: not from the worker that makes it,
    nor from what it made before.

    In training an unreadable image is replaced by another one, and named in ``skipped`` of the item's ``data_samples``;
    in an evaluation, which would be falsified, it is an error.
    """

    test_mode: bool

    @abstractmethod
    def prepare_readable(self, idx: int) -> dict | None:
        """Run the pipeline on one image; raises ``UnreadableError``."""

    def __getitem__(self, key: int | tuple[int, int]) -> Any:
        self._skipped: list[str] = []
        if isinstance(key, tuple):
            index, seed = key
            with seeded(seed):
                item = super().__getitem__(index)  # type: ignore[misc]
        else:
            item = super().__getitem__(key)  # type: ignore[misc]
        if self._skipped:
            if 'data_samples' not in item:  # of a data set that mixes images, whose items cannot tell it
                raise UserError(f'{self._skipped[0]}: repair it, or remove it from the annotations')
            item['data_samples'].set_metainfo(dict(skipped=self._skipped))
        return item

    def prepare_data(self, idx: int) -> dict | None:
        """Run the pipeline on one image; None for one that is left out, in whose place MMEngine draws another.

        Raises:
            UnreadableError: the image cannot be read, in an evaluation.
            UserError: none of many images can be read.
        """
        try:
            return self.prepare_readable(idx)
        except UnreadableError as error:
            if self.test_mode:
                raise
            self._skipped.append(f'{error.path} ({error.reason})')
            if len(self._skipped) == _MOST:
                raise UserError(
                    f'none of {_MOST} images, drawn one after another, can be read: {shown(self._skipped[0])} is one'
                ) from error
            return None
