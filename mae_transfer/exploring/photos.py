"""The photos of a page, as the model sees them: those of a run or of a folder, and those that a user drops."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mmengine.config import Config
from torch import Tensor

from ..data.files.bands import Bands
from ..data.files.image_limits import decoding_up_to
from ..data.files.image_reader import UNREADABLE, ImageReader, UnexpectedValues
from ..data.files.photo_files import PhotoFiles
from ..data.files.tiff import elongation
from ..data.files.unreadable import why_unreadable
from ..data.photos.crops import CentreCrop, Pixels, size_of
from ..data.photos.loaders import dataset_settings
from ..data.photos.unlabelled import Photos
from ..data.photos.wrappers import ConcatDataset
from ..data_checks import check_data
from ..errors import UserError
from ..inference.numbered_photos import NumberedPhotos
from ..kinds import data_sets
from ..paths import shown
from ..registry import DATASETS

#: Of a photo's sides: the centre crop of a longer one shows next to nothing, and is first resized to gigabytes.
MOST_ELONGATED = 20
_MOST_PIXELS = NumberedPhotos.max_pixels


@dataclass(frozen=True, eq=False)
class Photo:
    """A photo as the model sees it.

    Attributes:
        name: of its file.
        pixels: (C, h, w), uint8, or float32 for files of more bits, with the values of the file.
        index: its number among the photos of the page; None for one that was dropped.
    """

    name: str
    pixels: Tensor = field(repr=False)
    index: int | None = None


def check_sides(image: Pixels, least: int) -> None:
    """Refuse a photo of which nothing can be seen.

    Args:
        least: pixels that each side must have.

    Raises:
        UnexpectedValues: a side that is shorter; sides too different.
    """
    width, height = size_of(image)
    if min(width, height) < least:
        raise UnexpectedValues(
            f'has {width} x {height} pixels, less than a patch of the model: choose a photo of {least} x {least} '
            'pixels or more'
        )
    if elongation(width, height) > MOST_ELONGATED:
        raise UnexpectedValues(
            f'has {width} x {height} pixels, and the model sees the middle square: crop it to less than '
            f'{MOST_ELONGATED} to 1'
        )


class WholePhotos(NumberedPhotos):
    """:class:`~mae_transfer.inference.numbered_photos.NumberedPhotos` of which something can be seen; the others count
    as unreadable.

    Args:
        least: see :func:`check_sides`.
    """

    def __init__(
        self, files: PhotoFiles, img_size: tuple[int, int], bands: Bands, exif_orientation: bool, least: int
    ) -> None:
        super().__init__(files, img_size, bands, exif_orientation)
        self.least = least

    def read(self, index: int) -> Pixels:
        """See the base class."""
        image = super().read(index)
        check_sides(image, self.least)
        return image


class PagePhotos:
    """The photos of a page.

    Args:
        files: where they are; none for a page on which photos are dropped.
        size: (height, width) of the crops that the model sees.
        bands, exif_orientation: how files are read; see :class:`~mae_transfer.data.files.image_reader.ImageReader`.
        least: pixels that each side of a photo must have.

    Raises:
        UserError: files whose values are not what ``bands`` says.
    """

    def __init__(
        self, files: Sequence[PhotoFiles], size: tuple[int, int], bands: Bands, exif_orientation: bool, least: int
    ) -> None:
        parts = [WholePhotos(part, size, bands, exif_orientation, least) for part in files]
        self.dataset = ConcatDataset(parts) if parts else None
        # That of the photos knows which type of values they have.
        self.reader = parts[0].reader if parts else ImageReader(bands, exif_orientation)
        self.transform, self.least = CentreCrop(size), least

    def __len__(self) -> int:
        return 0 if self.dataset is None else len(self.dataset)

    def name(self, index: int) -> str:
        """The path of a photo, relative to its folder."""
        part, inner = self._part(index)
        return part.name(inner)

    def __getitem__(self, index: int) -> Photo:
        """A photo; raises ``UserError`` if it cannot be read."""
        part, inner = self._part(index)
        return Photo(part.name(inner), part.own_item(inner)['inputs'], index)

    def _part(self, index: int) -> tuple[WholePhotos, int]:
        if self.dataset is None:
            raise UserError('there are no photos on this page: drop one, or start it with --photos FOLDER')
        return self.dataset.locate(index)

    def dropped(self, path: str | os.PathLike) -> Photo:
        """A photo that a user dropped, seen as the others.

        Raises:
            UserError: a file that is no image, or has other values than the model sees, or too few pixels.
        """
        file = Path(path)
        try:
            with decoding_up_to(_MOST_PIXELS):
                image = self.reader(file)
                check_sides(image, self.least)
                return Photo(file.name, self.transform(image))
        except UnexpectedValues as error:
            # What follows is advice for a training.
            found, is_advice, _ = str(error).partition(': set bands=')
            raise UserError(f'{shown(file.name)} {found}{": convert it" if is_advice else ""}') from error
        except UNREADABLE as error:
            if isinstance(error, UserError):
                raise
            reason = why_unreadable(file, error) or 'cannot be read as an image'
            raise UserError(f'{shown(file.name)} {reason}') from error


def held_out(cfg: Config) -> list[PhotoFiles]:
    """Where the photos are that a pre-training held out: those of its test data.

    Raises:
        UserError: they are no longer there; they are no photos of a pre-training.
    """
    check_data(cfg, 'test')
    settings = (cfg.get('test_dataloader') or {}).get('dataset')
    if not settings:
        raise UserError('the run has no test_dataloader')
    built = [DATASETS.build(dict(part)) for part in data_sets(dataset_settings(settings))]
    if any(not isinstance(part, Photos) for part in built):
        raise UserError('its test data are no photos without labels')
    return [part.files for part in built]
