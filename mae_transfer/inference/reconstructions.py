"""Photos next to their reconstructions by a pre-trained MAE, in one picture: masked, reconstructed, original."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from pathlib import Path

import torch
from mmengine.config import Config
from PIL import Image
from torch import nn

from ..checks import check_config
from ..data import collate_photos
from ..data.photos.image_dataset import ImageDataset
from ..data.photos.loaders import dataset_settings
from ..errors import UserError, shorten
from ..outputs import output_file
from ..paths import shown, with_home
from ..pretraining import MAE
from ..registry import DATASETS
from ..settings import change_settings
from ..visualization.reconstruction import reconstruction_sheet
from ..visualization.shown_bands import shown_of


@dataclass(frozen=True)
class Drawing:
    """What is to be drawn, and where.

    Attributes:
        out: image file to write.
        photos: folder of photos, or list file; None for the config's held-out photos.
        count: number of photos, at most.
        bands_shown: of photos with other bands than 'RGB', one or three, by their numbers in the files: '4,3,2'; None
            for the first three.

    Raises:
        UserError: no photos; a file that cannot be written, or of no image format.
    """

    out: Path
    photos: str | None = None
    count: int = 8
    bands_shown: str | None = None

    def __post_init__(self) -> None:
        if self.count < 1:
            raise UserError(f'--count must be 1 or more; found {self.count}')
        path = output_file(self.out, 'out')
        object.__setattr__(self, 'out', path)
        if self.photos is not None:
            object.__setattr__(self, 'photos', with_home(self.photos))
        try:
            Image.new('RGB', (8, 8)).save(io.BytesIO(), Image.registered_extensions()[path.suffix.lower()])
        except (KeyError, OSError, ValueError) as error:  # no format, or one that cannot be written, or not in colour
            raise UserError(f"out: '{path}' must end in the suffix of an image format, such as .png or .jpg") from error


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


def draw_reconstructions(model: nn.Module, cfg: Config, drawing: Drawing) -> list[str]:
    """Write the picture.

    Args:
        model: an MAE in evaluation mode, with its weights.
        cfg: from :func:`config_of_photos`.

    Returns:
        Lines that tell what was drawn, and what was left out.

    Raises:
        UserError: photos that do not fit the config; a picture that is too large for its format.
    """
    photos = DATASETS.build(dataset_settings(cfg.test_dataloader.dataset))
    items, skipped = _readable(photos, drawing.count)
    batch = collate_photos(items)
    bands = shown_of(photos, batch['inputs'].shape[1], drawing.bands_shown)
    torch.manual_seed(0)
    assert isinstance(model, MAE)
    sheet = Image.fromarray(reconstruction_sheet(model, batch, shown=bands))
    try:
        sheet.save(drawing.out)
    except (OSError, ValueError) as error:
        raise UserError(
            f'out: {drawing.out} cannot hold a picture of {sheet.width} x {sheet.height} pixels ({error}): choose '
            '.png, or a lower --count'
        ) from error
    lines = [f'{len(items)} photos drawn into {drawing.out}']
    if skipped:
        lines.append(f'unreadable photos were left out ({len(skipped)}): {shorten(map(shown, skipped))}')
    return lines


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
