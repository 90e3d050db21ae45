"""What a transfer starts from: for each pre-training, by its name, what the ViT and the images have to be like, and the
published settings that differ from MAE's.

In a config: ``init='dinov3_vitb16'`` or, in a config of the user's own sizes, ``init='dinov3'``. It does not say where
the weights are: that is ``pretrained``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from .data.files.bands import RGB_MEAN, RGB_STD
from .errors import UserError
from .vit.design import resolve_design
from .vit.sizes import SIZES, Size

_HALF = (127.5, 127.5, 127.5)
#: OpenAI CLIP's (0.48145466, 0.4578275, 0.40821073) and (0.26862954, 0.26130258, 0.27577711), times 255.
_CLIP_MEAN = (122.7709383, 116.7460125, 104.0937362)
_CLIP_STD = (68.5005327, 66.6321579, 70.3231630)

_LETTERS = dict(ti='tiny', s='small', b='base', l='large', h='huge', g='giant')
_WITH_RECIPES = {'base', 'large', 'huge'}  # sizes that have configs of their own: drop path, layer decay, length
_DINOV2_GIANT = Size(1536, 40, 24, patch_size=14, mlp_ratio=8 / 3)  # SwiGLU of 4096 channels
_DINOV3_HUGE = Size(1280, 32, 20)  # "H+"
_EVA02_DESIGN = dict(like='eva02', mlp_norm=True)  # tiny and small have no norm in the MLP
_EVA02_SIZES = {
    letter: (
        replace(SIZES[_LETTERS[letter]], patch_size=14, mlp_ratio=8 / 3),
        'eva02' if letter in ('ti', 's') else _EVA02_DESIGN,
    )
    for letter in ('ti', 's', 'b', 'l')
}


@dataclass(frozen=True)
class Start:
    """A pre-training, as far as a transfer has to know it.

    Args:
        arch: size of the ViT, as in ``ViT(arch=...)``.
        design: as in ``ViT(design=...)``.
        patch_size: side of its patches; None: as the config or ``arch`` says.
        class_token: whether it has a class token.
        rel_pos: relative positions that it was pre-trained with, as in ``ViT(rel_pos=...)``.
        rotary_img_size: as in ``ViT(rotary_img_size=...)``.
        mean, std: of the images' channels, on a scale to 255.
        sizes: by letter, those that are not in :data:`~mae_transfer.vit.sizes.SIZES` or have a design of their own.
        recipes: published settings that differ from those for MAE: task, or task and size such as
            'in1k_finetune base', to the settings.
    """

    arch: str | dict | Size | None = 'base'
    design: Any = None
    patch_size: int | None = None
    class_token: bool = True
    rel_pos: str | None = None
    rotary_img_size: int | None = None
    mean: tuple[float, ...] = RGB_MEAN
    std: tuple[float, ...] = RGB_STD
    sizes: Mapping[str, tuple[Size, Any]] = field(default_factory=dict)
    recipes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def windowed_design(self) -> Any:
        """The design in a ViT with windows, which has no place for registers."""
        if not resolve_design(self.design).registers:
            return self.design
        settings = dict(like=self.design) if isinstance(self.design, str) else dict(self.design)
        return dict(settings, registers=0)

    def rel_pos_or(self, default: str | None) -> str | None:
        """The relative positions of the pre-training; else those that a recipe adds, except to a ViT of rotary
        positions or with registers, which have no entries in their tables."""
        design = resolve_design(self.design)
        if self.rel_pos or not (design.rotary or design.registers):
            return self.rel_pos or default
        return None


_BEIT_RECIPES = {
    'ade20k_upernet base': dict(base_lr=1.12e-2, layer_decay=0.65),
    'in1k_finetune base': dict(base_lr=1e-3, warmup=20, layer_decay=0.65),
    'in1k_finetune large': dict(base_lr=2.5e-4, layer_decay=0.75),
}

#: Sources of the recipes: COCO: Li 2021 (arXiv 2111.11429), section 4: learning rate 8e-5 at a batch of 64 and weight
#: decay .1; 1.6e-4 for random weights and MoCo v3, weight decay .2 for random weights. ADE20K: BEiT's
#: ``semantic_segmentation`` for its self-supervised ViT-B: 7e-4 at a batch of 16, layer decay .65. ImageNet: BEiT's
#: ``get_started_for_image_classification.md`` for self-supervised weights. For all others nothing was published on
#: these recipes, and MAE's settings are used.
STARTS = {
    'mae': Start(),
    'random': Start(recipes={'coco_maskrcnn': dict(base_lr=6.4e-4, weight_decay=0.2)}),
    'deit': Start(),
    'deit3': Start(design='deit3'),
    'augreg': Start(mean=_HALF, std=_HALF),
    'mocov3': Start(
        sizes=dict(s=(Size(384, 12, 12), None)),  # official vits.py: 12 heads of 32
        recipes={'coco_maskrcnn': dict(base_lr=6.4e-4)},
    ),
    'beit': Start(design='beit', rel_pos='table', mean=_HALF, std=_HALF, recipes=_BEIT_RECIPES),
    # On ImageNet-1k, and by configs/beit_pretrain_*.py: official ``--imagenet_default_mean_and_std``.
    'beit_in1k': Start(design='beit', rel_pos='table', recipes=_BEIT_RECIPES),
    'beitv2': Start(design='beit', rel_pos='table'),
    'eva02': Start(
        design=_EVA02_DESIGN, patch_size=14, rotary_img_size=224, mean=_CLIP_MEAN, std=_CLIP_STD, sizes=_EVA02_SIZES
    ),
    'dinov2': Start(design='dinov2', patch_size=14, sizes=dict(g=(_DINOV2_GIANT, dict(like='dinov2', mlp='swiglu')))),
    'dinov2reg': Start(
        design=dict(like='dinov2', registers=4),
        patch_size=14,
        sizes=dict(g=(_DINOV2_GIANT, dict(like='dinov2', registers=4, mlp='swiglu'))),
    ),
    'dinov3': Start(design='dinov3', sizes=dict(h=(_DINOV3_HUGE, dict(like='dinov3', mlp='swiglu')))),
    'clip': Start(design='clip', mean=_CLIP_MEAN, std=_CLIP_STD),
    'siglip': Start(design='siglip', class_token=False, mean=_HALF, std=_HALF),
    'sam': Start(class_token=False, rel_pos='decomposed'),
}


def start(init: str | None, arch: Any = None) -> Start:
    """The start that ``init`` names.

    Args:
        init: a name of :data:`STARTS`, whose ViT has the size ``arch``; or with a size, such as 'beit_vitb16'
            (ti, s, b, l, h or g, and the patch size); None: MAE's.
        arch: the config's own size; None where only what does not depend on it is asked for.

    Raises:
        UserError: an unknown name or size; another size than that of the config's recipe.
    """
    if init is None:
        return Start(arch)
    family, _, size = init.partition('_vit') if isinstance(init, str) else ('', '', '')
    if family not in STARTS:
        raise UserError(f"unknown init '{init}': choose one of {', '.join(STARTS)}, or with a size, as in beit_vitb16")
    known = STARTS[family]
    if family == init:
        return replace(known, arch=arch)
    match = re.fullmatch(r'(ti|s|b|l|h|g)(\d+)', size)
    letter, patch = (match[1], int(match[2])) if match else ('', 0)
    named = _LETTERS.get(letter)
    if isinstance(arch, str) and arch != named and {arch, named} <= _WITH_RECIPES:
        raise UserError(
            f"init '{init}' is of size '{named}', this config's recipe is for '{arch}': use the config of that size"
        )
    if letter in known.sizes:
        found, design = known.sizes[letter]
        return replace(known, arch=asdict(found), design=design, patch_size=patch)
    if _LETTERS.get(letter) not in SIZES:
        raise UserError(f"init '{init}' names no size: write {family}_vitb16, with ti, s, b, l or h, and 14 or 16")
    return replace(known, arch=_LETTERS[letter], patch_size=patch)


def recipe(init: str | None, arch: Any, setting: str, default: Any) -> Any:
    """What was published for a start where it differs from MAE's recipe, else ``default``.

    Args:
        init, arch: as in :func:`start`.
        setting: task and name, such as 'coco_maskrcnn.base_lr'.
    """
    task, _, name = setting.partition('.')
    chosen = start(init, arch)
    for key in (f'{task} {chosen.arch}', task):
        if name in chosen.recipes.get(key, {}):
            return chosen.recipes[key][name]
    return default


def whole_patches(size: int | tuple[int, int], patch_size: int) -> tuple[int, int]:
    """(height, width) of an image size, rounded up to whole patches; images are padded to it."""
    height, width = (size, size) if isinstance(size, int) else size
    return -(-height // patch_size) * patch_size, -(-width // patch_size) * patch_size


def table_size(vit: Any, size: int | tuple[int, int]) -> tuple[int, int] | None:
    """The image size that the tables of relative positions of a ViT, ``vit``, are for: ``size``, in whole patches; None
    where it has none."""
    return whole_patches(size, vit.patch_size) if vit.rel_pos else None
