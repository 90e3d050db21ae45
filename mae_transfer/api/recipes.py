"""Which packaged config a call stands on."""

from __future__ import annotations

from collections.abc import Mapping

from ..compat.package_configs import config_path
from ..errors import UserError

#: {method of pre-training: {recipe: the name of its config, with {} for the letter of a size that has one of its own}},
#: the default recipe first. 'small' is for a computer without a GPU: a small ViT, few pixels, narrow heads.
METHODS: dict[str, dict[str, str]] = {
    'mae': {'paper': 'mae_pretrain_vit{}', 'small': 'small/mae_pretrain'},
    'mocov3': {'paper': 'mocov3_pretrain_vit{}'},
    'beit': {'paper': 'beit_pretrain_vit{}'},
}
#: {task: {recipe: the same}}.
RECIPES: dict[str, dict[str, str]] = {
    'detect': {
        'maskrcnn': 'coco_maskrcnn_vit{}',
        'vitdet': 'coco_vitdet_vit{}',
        'cascade': 'coco_vitdet_cascade_vit{}',
        'small': 'small/coco_maskrcnn',
    },
    'segment': {
        'upernet': 'ade20k_upernet_vit{}',
        'upernet_640': 'ade20k_upernet_vit{}_640',
        'small': 'small/ade20k_upernet',
    },
    'classify': {
        'finetune': 'in1k_finetune_vit{}',
        'linprobe': 'in1k_linprobe_vit{}',
        'fastprobe': 'in1k_fastprobe_vit{}',
        'knn': 'in1k_knn_vit{}',
    },
}
_LETTERS = {'base': 'b', 'large': 'l', 'huge': 'h'}


def pretraining_config(method: str, recipe: str | None, arch: object) -> str:
    """The packaged config of a pre-training, e.g. 'mae_pretrain_vitb'.

    Args:
        method, recipe: of :data:`METHODS`; None for the method's first recipe.
        arch: size of the ViT. A size that has no config of its own stands on ViT-B's, and so does None.

    Raises:
        UserError: another method; a recipe that the method has not.
    """
    if method not in METHODS:
        raise UserError(f'method is one of {", ".join(METHODS)}; found {method!r}')
    return _of_size(_chosen(METHODS[method], recipe, f"method '{method}'"), arch)


def finetuning_config(task: str, recipe: str | None, arch: object) -> str:
    """The packaged config of a transfer, e.g. 'coco_maskrcnn_vitb'.

    Args:
        task, recipe: of :data:`RECIPES`; None for the task's first recipe.
        arch: size of the ViT. A size that has no config of its own stands on ViT-B's, and so does None.

    Raises:
        UserError: another task; a recipe that the task has not.
    """
    if task not in RECIPES:
        raise UserError(f'task is one of {", ".join(RECIPES)}; found {task!r}')
    return _of_size(_chosen(RECIPES[task], recipe, f"task '{task}'"), arch)


def _chosen(recipes: Mapping[str, str], recipe: str | None, owner: str) -> str:
    if recipe is not None and recipe not in recipes:
        raise UserError(f'recipe of {owner} is one of {", ".join(recipes)}; found {recipe!r}')
    return recipes[recipe or next(iter(recipes))]


def _of_size(template: str, arch: object) -> str:
    letter = _LETTERS.get(arch, 'b') if isinstance(arch, str) else 'b'
    name = template.format(letter)
    return name if config_path(f'{name}.py').is_file() else template.format('b')
