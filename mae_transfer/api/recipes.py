"""Which packaged config a call stands on."""

from __future__ import annotations

from ..compat.package_configs import config_path
from ..errors import UserError

#: {method of pre-training: the beginning of its configs' names}
METHODS = {'mae': 'mae_pretrain', 'mocov3': 'mocov3_pretrain', 'beit': 'beit_pretrain'}
#: {task: {recipe: the beginning of its configs' names, and the end}}, the default first.
RECIPES: dict[str, dict[str, tuple[str, str]]] = {
    'detect': {
        'maskrcnn': ('coco_maskrcnn', ''),
        'vitdet': ('coco_vitdet', ''),
        'cascade': ('coco_vitdet_cascade', ''),
    },
    'segment': {'upernet': ('ade20k_upernet', ''), 'upernet_640': ('ade20k_upernet', '_640')},
    'classify': {
        'finetune': ('in1k_finetune', ''),
        'linprobe': ('in1k_linprobe', ''),
        'fastprobe': ('in1k_fastprobe', ''),
        'knn': ('in1k_knn', ''),
    },
}
_LETTERS = {'base': 'b', 'large': 'l', 'huge': 'h'}


def pretraining_config(method: str, arch: object) -> str:
    """The packaged config of a pre-training, e.g. 'mae_pretrain_vitb'.

    Args:
        method: one of :data:`METHODS`.
        arch: size of the ViT. A size that has no config of its own stands on ViT-B's.

    Raises:
        UserError: another method.
    """
    if method not in METHODS:
        raise UserError(f'method is one of {", ".join(METHODS)}; found {method!r}')
    return _of_size(METHODS[method], '', arch)


def finetuning_config(task: str, recipe: str | None, arch: object) -> str:
    """The packaged config of a transfer, e.g. 'coco_maskrcnn_vitb'.

    Args:
        task, recipe: of :data:`RECIPES`; None for the task's first recipe.
        arch: size of the ViT. A size that has no config of its own stands on ViT-B's.

    Raises:
        UserError: another task; a recipe that the task has not.
    """
    if task not in RECIPES:
        raise UserError(f'task is one of {", ".join(RECIPES)}; found {task!r}')
    recipes = RECIPES[task]
    if recipe is not None and recipe not in recipes:
        raise UserError(f"recipe of task '{task}' is one of {', '.join(recipes)}; found {recipe!r}")
    return _of_size(*recipes[recipe or next(iter(recipes))], arch)


def _of_size(begin: str, end: str, arch: object) -> str:
    letter = _LETTERS.get(arch, 'b') if isinstance(arch, str) else 'b'
    name = f'{begin}_vit{letter}{end}'
    return name if config_path(f'{name}.py').is_file() else f'{begin}_vitb{end}'
