"""Photos next to their reconstructions by a pre-trained MAE, in one picture: masked, reconstructed, original."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from mmengine.config import Config
from PIL import Image
from torch import nn

from ..calls import python_call
from ..checks import check_config
from ..data import collate_photos
from ..data.photos.image_dataset import ImageDataset
from ..data.photos.loaders import dataset_settings
from ..errors import UserError, is_number, shorten
from ..kinds import class_of, takes
from ..outputs import output_picture, save_picture
from ..paths import shown, with_home
from ..pretraining import MAE
from ..pretraining.masking import MASKINGS, Masking
from ..registry import DATASETS, MODELS, SCOPE
from ..settings import change_settings
from ..visualization.reconstruction import masking_sheet, reconstruction_sheet
from ..visualization.reconstruction_caption import caption_of, heading_of
from ..visualization.reconstruction_layout import with_lines
from ..visualization.shown_bands import shown_of
from .trained import Trained, loaded

#: Pictures that are narrower are enlarged, so that there is room for the headings.
_LEAST_SIDE = 112


@dataclass(frozen=True)
class Drawing:
    """What is to be drawn, and where.

    Attributes:
        out: image file to write.
        photos: folder of photos, or list file; None for the config's held-out photos.
        count: number of photos, at most.
        bands_shown: of photos with other bands than 'RGB', one or three, by their numbers in the files: '4,3,2'; None
            for the first three.
        ratios: masking ratios that are drawn side by side (MAE Fig. 4); None for that of the run.
        maskings: maskings that are drawn side by side, of :data:`MASKINGS`; None for that of the run.
        paste: whether kept patches are those of the photo, or the model's predictions, too (MAE Fig. 2).
        per_row: photos next to each other, without ``ratios`` and ``maskings``; None for two.

    Raises:
        UserError: no photos; a file that cannot be written, or of no image format; a ratio that is none; another
            masking; photos in a row beside ``ratios`` or ``maskings``.
    """

    out: Path
    photos: str | None = None
    count: int = 8
    bands_shown: str | None = None
    ratios: Sequence[float] | None = None
    maskings: Sequence[str] | None = None
    paste: bool = True
    per_row: int | None = None

    def __post_init__(self) -> None:
        for option, number in (('--count', self.count), ('--per-row', 1 if self.per_row is None else self.per_row)):
            if number < 1:
                raise UserError(f'{option} must be 1 or more; found {number}')
        for ratio in self.ratios or ():
            if not is_number(ratio) or not 0 < ratio < 1:
                raise UserError(f'--ratios lie strictly between 0 and 1, e.g. .75,.85,.95; found {ratio}')
        for name in self.maskings or ():
            if name not in MASKINGS:
                raise UserError(f'--maskings are of {", ".join(MASKINGS)}; found {name!r}')
        if self.compares and self.per_row is not None:
            raise UserError('--per-row is for pictures without --ratios and --maskings, which take a row themselves')
        object.__setattr__(self, 'out', output_picture(self.out, 'out'))
        if self.photos is not None:
            object.__setattr__(self, 'photos', with_home(self.photos))

    @property
    def compares(self) -> bool:
        """Whether a photo is drawn under several maskings, side by side."""
        return bool(self.ratios or self.maskings)


@dataclass(frozen=True)
class Reconstructions:
    """What was drawn.

    Attributes:
        out: the picture.
        photos: how many.
        skipped: photos that could not be read.
    """

    out: Path
    photos: int
    skipped: tuple[str, ...]

    def __str__(self) -> str:
        lines = [f'{self.photos} photos drawn into {self.out}']
        if self.skipped:
            lines.append(f'unreadable photos were left out ({len(self.skipped)}): {shorten(map(shown, self.skipped))}')
        return '\n'.join(lines)


@python_call
def reconstruct(
    model: Trained | str | os.PathLike,
    out: str | Path,
    photos: str | os.PathLike | None = None,
    *,
    count: int = 8,
    ratios: Sequence[float] | None = None,
    maskings: Sequence[str] | None = None,
    paste: bool = True,
    per_row: int | None = None,
    bands_shown: str | None = None,
    device: str | torch.device | None = None,
    verbose: bool = False,
) -> Reconstructions:
    """Draw photos masked, reconstructed and whole, into one picture with a caption that says what is seen.

    The same call draws the same picture: a photo's mask follows from its place among the photos.

    Args:
        model: an MAE: what :func:`~mae_transfer.inference.trained.load` gives, or takes.
        out: image file to write.
        photos: folder of photos, or list file; None for photos that were held out of the training.
        count, ratios, maskings, paste, per_row, bands_shown: see :class:`Drawing`.
        device: 'cpu', 'cuda', ...; None for a GPU if there is one.
        verbose: whether all of what is logged is shown (:mod:`mae_transfer.runs.console`).

    Raises:
        UserError: a model that is no MAE, or whose target cannot be turned into pixels; as :class:`Drawing`,
            :func:`config_of_photos` and :func:`draw_reconstructions`.
    """
    source = None if photos is None else os.fspath(photos)
    drawing = Drawing(Path(out), source, count, bands_shown, ratios, maskings, paste, per_row)
    trained = loaded(model, device)
    check_mae(trained.model, trained.source)
    return draw_reconstructions(trained.model, config_of_photos(trained.cfg, drawing), drawing, trained.checkpoint)


def check_mae(model: nn.Module, source: str) -> MAE:
    """The model, if it is an MAE.

    Raises:
        UserError: it is not; ``source`` names it in the message.
    """
    if not isinstance(model, MAE):
        raise UserError(f'{shown(source)} is no pre-training by an MAE: its model is a {type(model).__name__}')
    return model


def config_of_photos(cfg: Config, drawing: Drawing) -> Config:
    """A pre-training's config, checked, whose test photos are those to be drawn.

    Raises:
        UserError: there are no such photos; as :func:`~mae_transfer.checks.check_config`.
    """
    if (photos := drawing.photos) is not None:
        if not os.path.exists(photos) or not photos:
            raise UserError(f"--photos: '{shown(photos)}' does not exist: give a folder of photos, or a list file")
        changes = [('data_root', photos), ('hold_out', 1.0)]
        cfg = change_settings(cfg, [(f'test_dataloader.dataset.{key}', value) for key, value in changes])
    check_config(cfg, 'test')
    return cfg


def draw_reconstructions(model: nn.Module, cfg: Config, drawing: Drawing, checkpoint: Path) -> Reconstructions:
    """Write the picture.

    Args:
        model: an MAE in evaluation mode, with its weights.
        cfg: from :func:`config_of_photos`.
        checkpoint: the file of the weights, for the caption.

    Raises:
        UserError: photos that do not fit the config; a masking that hides no patch of them, or all; a picture that is
            too large for its format.
    """
    mae = check_mae(model, str(checkpoint))
    maskings = _maskings(cfg, mae, drawing) if drawing.compares else None
    photos = DATASETS.build(dataset_settings(cfg.test_dataloader.dataset))
    items, skipped = _readable(photos, drawing.count)
    batch = collate_photos(items)
    bands = shown_of(photos, batch['inputs'].shape[1], drawing.bands_shown)
    look = dict(shown=bands, paste=drawing.paste, zoom=math.ceil(_LEAST_SIDE / batch['inputs'].shape[3]))
    if maskings is None:
        sheet = reconstruction_sheet(mae, batch, per_row=drawing.per_row or 2, headings=True, **look)
    else:
        sheet = masking_sheet(mae, batch, maskings, **look)
    source = f'{checkpoint.resolve().parent.name}/{checkpoint.name}'
    caption = caption_of(mae, shown(source), mae.grid(batch['inputs']), drawing.paste, maskings)
    save_picture(Image.fromarray(with_lines(sheet, caption)), drawing.out, 'out')
    return Reconstructions(drawing.out, len(items), tuple(skipped))


def _maskings(cfg: Config, model: MAE, drawing: Drawing) -> dict[str, Masking]:
    """The maskings to be drawn, by the headings of their columns; the run's own keeps its other settings."""
    own, found = class_of(cfg.model.masking, MODELS, cfg.get('default_scope')), dict[str, Masking]()
    names = {kind: name for name, kind in MASKINGS.items()}
    for kind in [MASKINGS[name] for name in drawing.maskings] if drawing.maskings else [type(model.masking)]:
        for ratio in drawing.ratios or [model.masking.ratio]:
            if not takes(kind, 'ratio'):
                raise UserError(f'{kind.__name__} has no setting `ratio`: leave --ratios out, or choose --maskings')
            settings = dict(cfg.model.masking if kind is own else dict(type=kind), ratio=ratio)
            with MODELS.switch_scope_and_registry(SCOPE):
                masking = MODELS.build(settings)
            found[heading_of(masking, names.get(kind))] = masking
    return found


def _readable(photos: ImageDataset, count: int) -> tuple[list[dict], list[str]]:
    """The items of the first ``count`` readable photos, each once, and the names of the unreadable ones before them."""
    items, skipped, index = list[dict](), list[str](), 0
    while index < len(photos) and len(items) < count:
        item = photos[index]
        if index + len(item['skipped']) >= len(photos) and items:  # what follows in a circle is drawn already
            skipped += item['skipped'][: len(photos) - index]
            break
        skipped += item['skipped']
        items.append(item)
        index += len(item['skipped']) + 1
    return items, skipped
