"""What can be found wrong in a config before anything is built from it."""

from __future__ import annotations

from pathlib import Path

from mmengine.config import Config

from .data.same_classes import check_same_classes
from .errors import UserError
from .vit.sizes import resolve_size


def data_loaders(cfg: Config) -> dict[str, dict]:
    """The configs of all data loaders, by the names that the command line has for them."""
    loaders = {name: cfg.get(name) for name in ('train_dataloader', 'val_dataloader', 'test_dataloader')}
    loaders['test_cfg.train_dataloader'] = (cfg.get('test_cfg') or {}).get(
        'train_dataloader'
    )  # of k-NN and the fast probe
    return {name: loader for name, loader in loaders.items() if loader}


def dataset_of(loader: dict) -> dict:
    """The config of a loader's data set, without what is wrapped around it."""
    dataset = loader.get('dataset') or {}
    while isinstance(dataset, dict) and isinstance(dataset.get('dataset'), dict):
        dataset = dataset['dataset']
    return dataset if isinstance(dataset, dict) else {}


def check_data(cfg: Config, *purposes: str) -> None:
    """Find missing data before anything is built.

    Args:
        purposes: 'train', 'val', 'test'.

    Raises:
        UserError: an annotation file, an image folder or a data root that does not exist or is empty; images judged by
            annotations of others.
    """
    for loader, settings in data_loaders(cfg).items():
        if not loader.startswith(purposes):
            continue
        dataset = dataset_of(settings)
        root = Path(dataset.get('data_root') or '')
        prefixes = dataset.get('data_prefix') or {}
        prefixes = prefixes.values() if isinstance(prefixes, dict) else [prefixes]
        folders = [root / prefix for prefix in prefixes if isinstance(prefix, str)]
        for path in [root, *folders]:
            if not path.exists():
                raise UserError(
                    f'{loader}: {path} does not exist: set the data root, e.g. --cfg-options data_root=path/to/data'
                )
            if path.is_dir() and not any(path.iterdir()):
                raise UserError(f'{loader}: folder {path} is empty')
        if dataset.get('ann_file') and not (root / dataset['ann_file']).is_file():
            raise UserError(
                f'{loader}: annotation file {root / dataset["ann_file"]} does not exist: set the data root, '
                'e.g. --cfg-options data_root=path/to/data'
            )
        _check_judged_by(cfg, loader, dataset)


def _check_judged_by(cfg: Config, loader: str, dataset: dict) -> None:
    name = loader.replace('dataloader', 'evaluator')
    evaluator = cfg.get(name) or ()
    for metric in [evaluator] if isinstance(evaluator, dict) else evaluator:
        own, judged = metric.get('ann_file'), Path(dataset.get('data_root') or '', dataset.get('ann_file') or '')
        if metric.get('type', '').rpartition('.')[2] in ('CocoAP', 'CocoMetric') and own and Path(own) != judged:
            raise UserError(f'{name}.ann_file is {own}, but the images are those of {judged}: set both')


def check_sizes(cfg: Config, *purposes: str) -> None:
    """Find numbers that cannot be before anything is built; for 'train', 'val', 'test'.

    Raises:
        UserError: a batch of no image, or an odd one to be mixed; crops that the patch does not divide.
    """
    loaders = {name: loader for name, loader in data_loaders(cfg).items() if name.startswith(purposes)}
    for name, loader in loaders.items():
        size = loader.get('batch_size', 1)
        if not isinstance(size, int) or size < 1:
            raise UserError(f'{name}.batch_size is a whole number of images, 1 or more; found {size}')
        if name == 'train_dataloader' and size % 2 and (cfg.model.get('data_preprocessor') or {}).get('mixup'):
            raise UserError(
                f'mixup and cutmix pair the images of a batch: choose an even train_dataloader.batch_size; found {size}'
            )
    vit = cfg.model.get('vit')
    if not isinstance(vit, dict):
        return
    patch = vit.get('patch_size') or resolve_size(vit.get('arch', 'base')).patch_size
    for name, loader in loaders.items():
        sides = dataset_of(loader).get('img_size') or patch
        for side in sides if isinstance(sides, (list, tuple)) else [sides]:
            if side % patch:
                raise UserError(
                    f'{name}.dataset.img_size {side} is not divisible by patch_size {patch}: choose a multiple, '
                    f'e.g. {max(1, side // patch) * patch}'
                )


def check_classes(cfg: Config) -> None:
    """Find data whose classes are not the model's, before anything is built; raises as ``check_same_classes``."""
    train, val = ((cfg.get(loader) or {}).get('dataset') or {} for loader in ('train_dataloader', 'val_dataloader'))
    if train.get('type', '').rpartition('.')[2] in ('LabelledPhotos', 'ImageNetC'):
        check_same_classes(train, val, cfg.model.num_classes)
