"""What the page answers: pictures and sentences for what a reader has chosen. Nothing here knows gradio."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ..data.files.image_files import evenly
from ..errors import UserError, shorten
from ..paths import shown
from ..visualization.reconstruction_layout import placed
from .feature_colours import AtPlaces, at_places, feature_colours
from .masks import BY_HAND, drawn, maskings_of, name_of, patch_at, toggled
from .nearest import PhotoVectors
from .photos import PagePhotos, Photo
from .pictures import enlarged, with_frame, with_heat, with_lines
from .subject import Subject

#: Photos to choose from, at most, evenly spaced; in one analysis of colours; nearest ones that are shown.
STRIP, MOST_COLOURED, NEAREST = 16, 8, 12
ALL_HEADS = 'mean of all heads'
_COLOURS = 176  # pixels of a photo's side beside its colours
_GAP = 6


@dataclass(frozen=True, eq=False)
class Session:
    """What one reader of the page has chosen.

    Attributes:
        hidden: (N,) bool, for each patch whether it is hidden.
        patch: whose attention is shown.
        photo: the photo; None before there is one.
        seed: which mask a masking draws.
        nearest: numbers of the photos that are shown as the nearest.
    """

    hidden: np.ndarray
    patch: int
    photo: Photo | None = None
    seed: int = 0
    nearest: tuple[int, ...] = ()


class Answers:
    """The answers of a model about photos.

    Args:
        subject: the model.
        photos: to choose from, and to look among; there may be none.

    Attributes:
        strip: the photos to choose from.
        unreadable: names of those that would be among them.
        maskings: to choose from, by name.
        vectors: of the photos; None before they were asked for.
    """

    def __init__(self, subject: Subject, photos: PagePhotos) -> None:
        self.subject, self.photos = subject, photos
        self.maskings = maskings_of(None if subject.model is None else subject.model.masking)
        self.vectors: PhotoVectors | None = None
        self.strip, self.unreadable = list[Photo](), list[str]()
        for index in evenly(len(photos), STRIP):
            try:
                self.strip.append(photos[index])
            except UserError:
                self.unreadable.append(photos.name(index))

    @property
    def first_masking(self) -> tuple[str, float]:
        """Name and ratio of the masking that the model was trained with; of a model without one, MAE's."""
        if self.subject.model is None:
            return next(iter(self.maskings)), 0.75
        own = self.subject.model.masking
        return name_of(own, self.maskings), own.ratio

    def first_session(self) -> Session:
        """What is chosen before a reader chooses: the first photo, masked as in training."""
        (masking, ratio), (rows, columns) = self.first_masking, self.subject.grid
        hidden = drawn(self.maskings[masking], ratio, self.subject.grid, 0)
        return Session(hidden, rows // 2 * columns + columns // 2, self.strip[0] if self.strip else None)

    # Reconstruction --------------------------------------------------------------------------------------------------

    def masked_by(self, session: Session, masking: str, ratio: float) -> Session:
        """The patches hidden by a masking, by its name; by hand they stay as they are."""
        if masking == BY_HAND:
            return session
        return replace(session, hidden=drawn(self.maskings[masking], ratio, self.subject.grid, session.seed))

    def toggled_at(self, session: Session, place: tuple[float, float], size: tuple[int, int]) -> Session:
        """The patch at a place (x, y) of a picture of ``size`` (height, width) hidden or shown."""
        return replace(session, hidden=toggled(session.hidden, patch_at(*place, size, self.subject.grid)))

    def reconstruction(self, session: Session, pasted: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray, str]:
        """The photo masked, with lines between its patches, reconstructed and whole; and the loss, in Markdown.

        Raises:
            UserError: no photo is chosen; the model does not reconstruct.
        """
        found = self.subject.masked(_photo(session), session.hidden, pasted)
        assert self.subject.model is not None
        target, count = self.subject.model.target, int(session.hidden.sum())
        if found.loss is None:
            lines = [f'**No patch is hidden**, so there is no loss: all {session.hidden.size} patches are shown.']
        else:
            share = f'{count} of {session.hidden.size} patches are hidden ({100 * session.hidden.mean():.0f} %)'
            lines = [f'**Loss of this photo: {found.loss:.3f}** ({target.loss_unit}). {share}.']
        if not pasted:
            lines.append('Shown patches are predictions, too, which the loss of the training does not look at.')
        lines.append(f'The picture shows {target.pictured}.')
        masked = with_lines(enlarged(found.masked), self.subject.grid)
        return masked, enlarged(found.predicted), enlarged(found.original), '\n\n'.join(lines)

    # Features --------------------------------------------------------------------------------------------------------

    @property
    def heads(self) -> list[str]:
        """What to choose a head from."""
        return [ALL_HEADS, *(f'head {number}' for number in range(1, self.subject.heads + 1))]

    def asked_at(self, session: Session, place: tuple[float, float], size: tuple[int, int]) -> Session:
        """The patch at a place (x, y) of a picture of ``size`` (height, width) asked for its attention."""
        return replace(session, patch=patch_at(*place, size, self.subject.grid))

    def attention(self, session: Session, head: str) -> tuple[np.ndarray, np.ndarray, str]:
        """The photo with a frame around the patch that is asked, what it attends to, and a sentence.

        Args:
            head: one of :attr:`heads`.

        Raises:
            UserError: no photo is chosen; the last block attends within windows.
        """
        photo, grid = _photo(session), self.subject.grid
        of_heads = self.subject.attention(photo, session.patch)
        shares = of_heads.mean(0) if head == ALL_HEADS else of_heads[self.heads.index(head) - 1]
        special = len(shares) - grid[0] * grid[1]
        to_patches = shares[special:]
        picture = enlarged(self.subject.picture(photo))
        heat = with_heat(picture, to_patches.reshape(grid))
        text = (
            f'**Attention of the framed patch**, last block, {head}: from dark, 0, to the '
            f'brightest patch, {100 * to_patches.max():.1f} % (an even share: {100 / len(shares):.1f} %)'
        )
        if special:
            text += f'; class token{" and registers" if special > 1 else ""} {100 * shares[:special].sum():.1f} %'
        frames = (with_frame(image, grid, session.patch) for image in (picture, heat))
        return next(frames), next(frames), f'{text}.'

    @cached_property
    def places(self) -> AtPlaces:
        """What the features of the strip's photos have in common at each place."""
        return at_places(np.stack([self.subject.features(photo) for photo in self.strip]))

    def coloured(self, session: Session, count: int, without_places: bool = False) -> tuple[np.ndarray, str]:
        """Photos above the colours of their patches' features, and a sentence.

        Args:
            count: of photos: the chosen one, and the next ones of the strip.
            without_places: whether what all photos of the strip have in common at each place is left out.

        Raises:
            UserError: no photo is chosen.
        """
        chosen = _photo(session)
        others = [photo for photo in self.strip if photo.index != chosen.index]
        start = next((place for place, photo in enumerate(self.strip) if photo.index == chosen.index), 0)
        photos = [chosen, *(others[start:] + others[:start])[: count - 1]]
        features = np.stack([self.subject.features(photo) for photo in photos])
        found = feature_colours(features - self.places.common if without_places else features)
        size = _COLOURS if len(photos) > 1 else _COLOURS * 2
        rows = [[enlarged(self.subject.picture(photo), size) for photo in photos]]
        height = rows[0][0].shape[0] // self.subject.grid[0]
        rows.append([colours.repeat(height, 0).repeat(height, 1) for colours in found.colours])
        shares = ', '.join(f'{100 * share:.0f} %' for share in found.shares)
        what = f'all {len(photos)} photos' if len(photos) > 1 else 'this photo'
        text = (
            f'**Alike colours are alike features**: red, green and blue are the first three principal components of '
            f'the patches of {what}, with {shares} of their variance.'
        )
        if without_places:
            text += (
                f' Left out is what {len(self.strip)} photos have in common at each place, '
                f'{100 * self.places.share:.0f} % of the variance of their features.'
            )
        return placed(rows, _GAP, _GAP), text

    # Nearest photos --------------------------------------------------------------------------------------------------

    def nearest(
        self, session: Session, tell: Callable[[int, int], object] = lambda done, total: None
    ) -> tuple[Session, list[tuple[np.ndarray, str]], str]:
        """The photos nearest to the chosen one, with their names and cosines, and a sentence.

        Args:
            tell: called with the numbers of photos done and of all, while vectors are computed, which is done once.

        Raises:
            UserError: no photo is chosen; there is none to look among.
        """
        photo = _photo(session)
        if self.vectors is None:
            self.vectors = PhotoVectors(self.subject.encoder, self.photos, tell)
        found = self.vectors.nearest(photo, NEAREST)
        pictures = [
            (
                enlarged(self.subject.picture(self.photos[index]), _COLOURS),
                f'{cosine:.3f}  {shown(self.photos.name(index))}',
            )
            for index, cosine in found
        ]
        among = f'{len(self.vectors)} photos'
        if len(self.photos) > len(self.vectors):
            among += f' of {len(self.photos)}'
        text = (
            f"Nearest to **{plain(photo.name)}** among {among}: by the cosine of the mean of their patches' features, "
            '1 for the same direction.'
        )
        if self.vectors.table.skipped:
            text += f' Left out, as they cannot be read: {shorten(map(plain, self.vectors.table.skipped), 3)}.'
        return replace(session, nearest=tuple(index for index, _ in found)), pictures, text


def plain(text: str) -> str:
    """A name of a file within Markdown, without a meaning of its signs there or in HTML."""
    return re.sub(r'([\\`*_\[\]~$])', r'\\\1', html.escape(shown(text)))


def _photo(session: Session) -> Photo:
    if session.photo is None:
        raise UserError('no photo is chosen: drop one, or choose one above')
    return session.photo
