"""Small pictures of the images that were embedded."""

from __future__ import annotations

import re
from functools import cached_property
from pathlib import Path

from PIL import Image

from ..data.files.image_files import suffixes_of
from ..data.files.image_reader import UNREADABLE, ImageReader
from ..data.files.photo_files import ShardPhotos
from ..errors import UserError
from ..paths import shown
from ..visualization.shown_bands import shown_bands
from .embedding_table import EmbeddingTable

#: A photo in a tar: the tar's path, and what follows is the member's.
_MEMBER = re.compile(r'(.*?\.tar)/', re.IGNORECASE)


class Thumbnails:
    """Small pictures of the images of embeddings, which have to be where they were when they were embedded.

    Args:
        embeddings: as embed gave or wrote them.
        side: the longer side of a picture, in pixels.

    Raises:
        UserError: it is not known where the images are.
    """

    def __init__(self, embeddings: EmbeddingTable, side: int) -> None:
        made_by = embeddings.made_by
        if 'folder' not in made_by or 'bands' not in made_by:
            raise UserError('it is not known where these images are: draw embeddings that embed returned or wrote')
        self.names, self.side, self.folder = embeddings.names, side, Path(made_by['folder'])
        bands = made_by['bands'] if isinstance(made_by['bands'], str) else tuple(made_by['bands'])
        self.reader = ImageReader(bands, made_by.get('exif_orientation', False))
        self.shown_bands = shown_bands(bands)

    def __call__(self, name: str) -> Image.Image:
        """The whole image of a name, in colours. Of numbered bands the first three are shown, from their 2nd percentile
        to their 98th.

        Raises:
            UserError: it is no longer there, or can no longer be read.
        """
        try:
            image = self.reader(self._source(name))
        except UNREADABLE as error:
            if isinstance(error, UserError):
                raise
            raise UserError(
                f"'{shown(self.folder / name)}' can no longer be read ({error}): pictures show the images that were "
                'embedded, where they were'
            ) from error
        if not isinstance(image, Image.Image):
            assert self.shown_bands is not None
            image = Image.fromarray(self.shown_bands.stretch(image).picture(image))
        picture = image.convert('RGB')
        share = self.side / max(picture.size)
        width, height = (max(1, round(length * share)) for length in picture.size)
        return picture.resize((width, height), Image.Resampling.BICUBIC)

    def _source(self, name: str) -> Path | bytes:
        path = self.folder / name
        if path.is_file() or not _MEMBER.match(name):
            return path
        return self._members.source(self._places[name])

    @cached_property
    def _members(self) -> ShardPhotos:
        shards = sorted({match[1] for name in self.names if (match := _MEMBER.match(name))})
        return ShardPhotos.of_shards(self.folder, shards, suffixes_of(self.reader.bands))

    @cached_property
    def _places(self) -> dict[str, int]:
        return {name: place for place, name in enumerate(self._members.names)}
