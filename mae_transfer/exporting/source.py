"""What is exported: a model with its weights, and what its images have to be like."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mmengine.config import Config
from torch import nn

from ..classify import ViTClassifier
from ..errors import UserError
from ..inference.seen_images import seen_images
from ..paths import shown
from ..vit import ViT
from ..vit.of_model import vit_of


@dataclass(frozen=True)
class Source:
    """What is exported.

    Attributes:
        model: a ViT, or a model that has one, in evaluation mode, in float32 and on the CPU.
        bands: which bands of image files it sees: 'RGB', 'L' (grey) or their numbers.
        mean, std: of the images' channels, on the scale of the files, in the order that the model takes.
        img_size: (height, width) of the images that it was trained with.
        classes: their names in label order; none for a ViT, or where they are not known.
        name: the run or file, as the user named it.
        reads_bgr: whether the model takes blue first; its files take red first all the same.
        cfg: of its run; None for weights alone.
        checkpoint: the file of its weights.
        pretraining: the whole pre-training, where ``model`` is its ViT.
    """

    model: nn.Module
    bands: str | tuple[int, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    img_size: tuple[int, int]
    classes: tuple[str, ...] = ()
    name: str = 'a model'
    reads_bgr: bool = False
    cfg: Config | None = None
    checkpoint: Path | None = None
    pretraining: nn.Module | None = None

    def __post_init__(self) -> None:
        channels = self.vit.in_channels
        if not channels == len(self.mean) == len(self.std):
            raise UserError(
                f'{shown(self.name)}: the ViT takes {channels} channels; mean has {len(self.mean)} values and std '
                f'{len(self.std)}'
            )

    @property
    def vit(self) -> ViT:
        """The ViT; the model itself, or a part of it."""
        found = vit_of(self.model)
        if found is None:
            raise UserError(f'{shown(self.name)} has no ViT: its model is a {type(self.model).__name__}')
        return found

    @property
    def is_of_8_bits(self) -> bool:
        """Whether the images are colours or grey of 8 bits; bands by number are of any depth."""
        return isinstance(self.bands, str)

    def only_vit(self) -> Source:
        """The ViT alone."""
        return replace(self, model=self.vit, classes=(), pretraining=None)


def source_of(
    model: nn.Module, cfg: Config | None = None, classes: tuple[str, ...] = (), name: str = 'a model', **more: Any
) -> Source:
    """What is exported of a model that was built from a config, with its preprocessor.

    Args:
        more: further fields of :class:`Source`, such as ``checkpoint``.

    Raises:
        UserError: no ViT; no preprocessor that normalises.
    """
    vit = vit_of(model)
    if vit is None:
        raise UserError(f'{shown(name)} has no ViT: its model is a {type(model).__name__}')
    seen = seen_images(model, cfg, vit.in_channels, name)
    rows, columns = vit.grid
    return Source(
        model,
        *seen[:3],
        (rows * vit.patch_size, columns * vit.patch_size),
        () if isinstance(model, ViTClassifier) and not model.num_classes else tuple(classes),
        name,
        reads_bgr=seen.reads_bgr,
        cfg=cfg,
        **more,
    )
