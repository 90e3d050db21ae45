"""The sizes of images in a config, checked before anything is built from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmengine.config import Config

from .errors import UserError, is_whole
from .kinds import data_loaders, data_sets
from .vit.sizes import resolve_size


def check_image_sizes(cfg: Config, *purposes: str) -> None:
    """Refuse what is no image size, and sizes that the patch size of ``model.vit`` does not divide.

    Raises:
        UserError: one line for the first of them.
    """
    vit = cfg.model.get('vit')
    if not isinstance(vit, Mapping):
        return
    size = resolve_size(vit.get('arch', 'base'))
    patch = vit.get('patch_size') or size.patch_size
    if 'img_size' in vit:
        _sides(vit['img_size'], owner_of(cfg, 'model.vit.img_size'))
    for name, loader in data_loaders(cfg).items():
        for dataset in data_sets(loader.get('dataset')) if name.startswith(purposes) else ():
            if dataset.get('img_size') is None:
                continue
            owner = owner_of(cfg, f'{name}.dataset.img_size')
            for side in _sides(dataset['img_size'], owner):
                if side % patch:
                    raise UserError(
                        f'{owner} {side} is not divisible by patch_size {patch}: choose a multiple, '
                        f'e.g. {max(1, side // patch) * patch}'
                    )


def _sides(size: Any, owner: str) -> list[int]:
    """The one side, or height and width, of a setting; raises ``UserError`` for anything else."""
    sides = list(size) if isinstance(size, (list, tuple)) else [size]
    if not all(is_whole(side, 1) for side in sides) or isinstance(size, (list, tuple)) and len(sides) != 2:
        raise UserError(f'{owner} is a number of pixels, or (height, width), e.g. 224 or (224,448); found {size!r}')
    return sides


def owner_of(cfg: Config, place: str) -> str:
    """The setting that a user would change for a place: the one that it refers to by its bare name, or itself."""
    seen = cfg.get('references', {})
    while (name := seen.get(place, '').removeprefix('${').removesuffix('}')).replace('.', '_').isidentifier():
        place = name
    return place
