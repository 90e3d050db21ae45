"""Vectors of the photos of a page, to find those nearest to one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch.utils.data import DataLoader

from ..classify.features import encoded_batches
from ..data.files.image_files import evenly
from ..errors import UserError
from ..inference.embedding_table import EmbeddingTable
from ..inference.encoder import Encoder
from ..inference.neighbours import find_nearest
from ..inference.numbered_photos import collate_numbered
from ..progress import Progress
from .photos import PagePhotos, Photo

#: The photos that are looked among, at most: evenly spaced, where there are more.
MOST_PHOTOS = 2000
_BATCH = 16


class PhotoVectors:
    """A vector for each photo of a page, or for some of them.

    Args:
        encoder: turns photos into vectors; stays on its device.
        photos: of the page.
        tell: called with the numbers of photos done and of all.

    Attributes:
        table: a vector for each photo that could be read.
        indices: of these photos, (N,) int64.

    Raises:
        UserError: no photo can be read; vectors that are not finite.
    """

    def __init__(
        self, encoder: Encoder, photos: PagePhotos, tell: Callable[[int, int], object] = lambda done, total: None
    ) -> None:
        if photos.dataset is None:
            raise UserError('there are no photos to look among: start the page with --photos FOLDER')
        chosen = evenly(len(photos), MOST_PHOTOS)
        batches = [list(chosen[start : start + _BATCH]) for start in range(0, len(chosen), _BATCH)]
        loader = DataLoader(photos.dataset, batch_sampler=batches, collate_fn=collate_numbered)  # type: ignore[arg-type]
        found = dict[int, np.ndarray]()
        skipped = dict[str, None]()
        with Progress('photos embedded', len(chosen)) as told:
            for batch in encoded_batches(encoder, loader, 'the photos'):
                # An unreadable photo is replaced by the next one, which then counts once.
                found.update(zip(batch.indices.tolist(), batch.values.numpy()))
                skipped.update(dict.fromkeys(batch.skipped))
                told(min(told.done + _BATCH, len(chosen)))
                tell(told.done, len(chosen))
        order = sorted(found)
        self.indices, values = np.array(order, np.int64), np.stack([found[index] for index in order])
        if not np.isfinite(values).all():
            raise UserError('the vectors of the photos are not finite: is the checkpoint broken?')
        self.encoder = encoder
        self.table = EmbeddingTable(tuple(map(str, order)), values, skipped=tuple(skipped))

    def __len__(self) -> int:
        return len(self.indices)

    def nearest(self, photo: Photo, count: int) -> list[tuple[int, float]]:
        """The nearest other photos by the cosine of their vectors, nearest first.

        Args:
            photo: of the page, or one that was dropped.
            count: of photos, at most.

        Returns:
            For each its number among the photos of the page, and the cosine.
        """
        is_own = photo.index is not None and str(photo.index) in self.table.names
        count = min(count, len(self) - is_own)
        if not count:
            return []
        query = str(photo.index) if is_own else self.vector(photo)
        found = find_nearest(self.table, query, count)
        return [
            (int(self.indices[place]), float(cosine)) for place, cosine in zip(found.places[0], found.similarities[0])
        ]

    @torch.no_grad()
    def vector(self, photo: Photo) -> np.ndarray:
        """The vector (D,) of a photo, float32."""
        batch = self.encoder.data_preprocessor(dict(inputs=photo.pixels[None]), False)
        return self.encoder.features(batch['inputs'])[0].cpu().numpy()
