"""Checks of detectors and segmentors: of their config before they are built, and of their heads before they run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from inspect import signature
from typing import Any

from mmengine.config import Config
from mmengine.device import get_device
from mmengine.registry import MODELS
from torch.nn import BatchNorm1d, BatchNorm2d, BatchNorm3d, Module, ModuleList, SyncBatchNorm

from ..data.label_maps.class_names import class_names
from ..data.label_maps.label_numbers import IGNORED, one_class_line
from ..errors import UserError, shorten
from ..kinds import class_of, data_loaders, data_sets, takes

_HEADS = ('decode_head', 'auxiliary_head')
_BATCH_NORMS = (BatchNorm1d, BatchNorm2d, BatchNorm3d, SyncBatchNorm)


def check_pooled_batch(cfg: Config, processes: int) -> None:
    """Refuse to train batch norm on one value per channel, which PyTorch would refuse in the middle of the first step.

    Heads with pyramid pooling (UperNet, PSPNet) normalise a map that is pooled to 1 x 1: one value per channel and
    image.

    Args:
        processes: number of processes that train together; SyncBN uses the images of all.

    Raises:
        UserError: the statistics would be those of a single image.
    """
    batch, scope = (cfg.get('train_dataloader') or {}).get('batch_size'), cfg.get('default_scope')
    for name, head in _head_settings(cfg):
        kind, norm = (class_of(part or {}, MODELS, scope) for part in (head, head.get('norm_cfg')))
        if kind is None or not takes(kind, 'pool_scales') or norm is None or not issubclass(norm, _BATCH_NORMS):
            continue
        scales = head.get('pool_scales', signature(kind).parameters['pool_scales'].default)
        # Without a GPU, each process has its own statistics.
        is_shared = issubclass(norm, SyncBatchNorm) and processes > 1 and get_device() != 'cpu'
        if batch == 1 and 1 in scales and not is_shared:
            raise UserError(
                f'model.{name} normalises a map pooled to 1 x 1 by {head.norm_cfg.type}, which needs two images in '
                'each process; found train_dataloader.batch_size=1: choose 2 or more (total_batch_size stays), or '
                f"another norm, e.g. model.{name}.norm_cfg=\"{{'type': 'GN', 'num_groups': 32}}\""
            )


def check_softmax(cfg: Config) -> None:
    """Refuse to train a softmax over a single output, which is 1 whatever the model learns, so that the loss is 0.

    A head with two classes and one output, a probability that is compared with a threshold, is fine if its loss has
    ``use_sigmoid=True``.

    Raises:
        UserError: a head of a segmentor with one output and a loss that takes the softmax of it.
    """
    scope = cfg.get('default_scope')
    for name, head in _head_settings(cfg):
        outputs = head.get('out_channels') or head.get('num_classes')
        if outputs != 1 or not any(_takes_softmax(loss, scope) for loss in _listed(head.get('loss_decode', {}))):
            continue
        if head.get('num_classes') == 1:
            names = class_names(cfg.get('classes')) or ('NAME',)
            raise UserError(f'model.{name} takes a softmax over one output: {one_class_line(names[0])}')
        raise UserError(
            f'model.{name} takes a softmax over one output (out_channels=1), which is always 1: set use_sigmoid=True '
            'of its loss_decode, or leave out out_channels'
        )


def check_losses(cfg: Config) -> None:
    """Refuse settings of a segmentor's losses that end the first step with an error of PyTorch's.

    Raises:
        UserError: another ``ignore_index`` than 255; ``class_weight`` with more or fewer weights than classes.
    """
    for name, head in _head_settings(cfg):
        if head.get('ignore_index', IGNORED) != IGNORED:
            raise UserError(
                f'model.{name}.ignore_index={head.ignore_index}: ignored pixels are {IGNORED} in every label map that '
                'LabelledScenes reads; to ignore other numbers, name those of the classes, label_values=...'
            )
        for loss in _listed(head.get('loss_decode')):
            weights, count = loss.get('class_weight'), head.get('num_classes')
            if isinstance(weights, (list, tuple)) and count and len(weights) != count:
                raise UserError(
                    f'model.{name}.loss_decode.class_weight has {len(weights)} weights for {count} classes: give one '
                    'for each, in the order of the classes'
                )


def check_masks(cfg: Config, *purposes: str) -> None:
    """Refuse to evaluate the masks of a detector that has none.

    Args:
        purposes: 'train', 'val', 'test'; a training validates, too.

    Raises:
        UserError: an evaluator of 'segm' beside RoI heads without a mask head.
    """
    roi_head = cfg.model.get('roi_head')
    if not isinstance(roi_head, Mapping) or roi_head.get('mask_head'):
        return
    for name in ('val_evaluator', 'test_evaluator'):
        for metric in _listed(cfg.get(name)) if name.startswith(purposes) else ():
            if 'segm' in _listed(metric.get('metric')):
                raise UserError(
                    f"{name}.metric names 'segm', but the model has no model.roi_head.mask_head: evaluate boxes alone, "
                    '--cfg-options val_evaluator.metric=bbox test_evaluator.metric=bbox'
                )


def check_order_of_classes(cfg: Config, *purposes: str) -> None:
    """Refuse data sets of one run with other classes, or the same in another order: a label is a place among them.

    Raises:
        UserError: classes that the config gives differ.
    """
    first: tuple[str, Any] | None = None
    for name, loader in data_loaders(cfg).items():
        for dataset in data_sets(loader.get('dataset')) if name.startswith(purposes) else ():
            metainfo = dataset.get('metainfo')
            classes = metainfo.get('classes') if isinstance(metainfo, Mapping) else None
            if not isinstance(classes, (list, tuple)):
                continue
            first = first or (name, classes)
            if list(first[1]) != list(classes):
                how = 'the same in another order' if {*first[1]} == {*classes} else 'others'
                raise UserError(
                    f'the classes of {first[0]} ({shorten(first[1])}) and of {name} ({shorten(classes)}) are {how}, '
                    'but a label is a place among them: set `classes` alone, which all data sets follow'
                )


def _takes_softmax(loss: Mapping, scope: str | None) -> bool:
    if 'type' not in loss:  # MMSegmentation's default
        return True
    kind = class_of(loss, MODELS, scope)
    if kind is None or not takes(kind, 'use_sigmoid'):
        return False
    return not loss.get('use_sigmoid', signature(kind).parameters['use_sigmoid'].default)


def _head_settings(cfg: Config) -> Iterator[tuple[str, Any]]:
    """The settings of a segmentor's heads, with their names in the model."""
    for name in _HEADS:
        for head in _listed(cfg.model.get(name)):
            yield name, head


def _listed(settings: Any) -> list:
    return list(settings) if isinstance(settings, (list, tuple)) else [] if settings is None else [settings]


def check_windows(cfg: Config) -> None:
    """Check the settings of sliding-window inference.

    Raises:
        UserError: an unknown ``model.test_cfg.mode``; windows without a size or a stride, or with gaps between them.
    """
    test_cfg = cfg.model.get('test_cfg') or {}
    if not isinstance(test_cfg, dict) or 'mode' not in test_cfg:
        return
    if test_cfg['mode'] not in ('slide', 'whole'):
        raise UserError(f"model.test_cfg.mode is 'slide' or 'whole'; found '{test_cfg['mode']}'")
    if test_cfg['mode'] == 'whole':
        return
    crop, stride = test_cfg.get('crop_size'), test_cfg.get('stride')
    if not _can_slide(crop, stride):
        raise UserError(
            "model.test_cfg.mode='slide' needs a crop_size and a stride of (rows, columns) that is no larger, e.g. "
            f'crop_size=(512,512) stride=(341,341); found {crop} and {stride}'
        )


def _can_slide(crop: Any, stride: Any) -> bool:
    for pair in (crop, stride):
        if not isinstance(pair, (list, tuple)) or len(pair) != 2 or not all(isinstance(side, int) for side in pair):
            return False
    return all(1 <= step <= side for step, side in zip(stride, crop))


def check_head_classes(model: Module, dataset: object, is_chosen: bool) -> None:
    """Check that the heads of a model have as many classes as the data.

    Args:
        model: detector or segmentor; other models are not checked.
        dataset: with the names of its classes in ``metainfo``.
        is_chosen: whether the user chose the classes. If so, every head must have exactly as many; otherwise a head may
            have more.

    Raises:
        UserError: a head has too few classes, or too many for the chosen ones.
    """
    metainfo = getattr(dataset, 'metainfo', {})
    # Panoptic heads count things and stuff separately.
    if not metainfo.get('classes') or 'stuff_classes' in metainfo:
        return
    number = len(metainfo['classes'])
    for name, head in _heads(model):
        if head.num_classes < number or is_chosen and head.num_classes != number:
            raise UserError(
                f'model.{name} has {head.num_classes} classes, the data has {number}: set the number of classes of the '
                f"head too; '${{class_count(classes, {head.num_classes})}}' in the config follows `classes`"
            )


def _heads(model: Any) -> Iterator[tuple[str, Any]]:
    """The heads that predict the classes of the data, with their names in the model."""
    if hasattr(model, 'language_model'):  # such a model has an output for each token of a text
        return
    decode_head = getattr(model, 'decode_head', None)
    if isinstance(decode_head, ModuleList):
        yield f'decode_head.{len(decode_head) - 1}', decode_head[-1]
    elif decode_head is not None:  # a segmentor; its auxiliary heads may predict something else, such as boundaries
        yield 'decode_head', decode_head
    else:
        rpn_modules = {*model.rpn_head.modules()} if hasattr(model, 'rpn_head') else ()  # proposals have no classes
        for name, module in model.named_modules():
            is_head = isinstance(getattr(module, 'num_classes', None), int) and name
            if is_head and module not in rpn_modules and not getattr(module, 'class_agnostic', False):
                yield name, module
