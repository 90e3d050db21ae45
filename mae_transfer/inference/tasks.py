"""What a model is for, told by its class."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Literal

from mmengine.config import Config
from mmengine.registry import MODELS

from ..classify import ViTClassifier
from ..errors import UserError
from ..kinds import class_of
from ..pretraining import DVAE, MoCoV3
from ..pretraining.masked_model import MaskedModel

Task = Literal['pretrain', 'classify', 'detect', 'segment']


def task_of(cfg: Config) -> Task:
    """The task of a config's model: a subclass, or a model of MMDetection or MMSegmentation, counts as what it derives
    from.

    Raises:
        UserError: a model of another kind, or a type that does not exist.
    """
    kind = class_of(cfg.model, MODELS, cfg.get('default_scope'))
    if not isinstance(kind, type):
        raise UserError(
            f"there is no type '{cfg.model.get('type')}' of models: is it misspelt, or not imported (custom_imports)?"
        )
    if issubclass(kind, ViTClassifier):
        return 'classify'
    if issubclass(kind, (MaskedModel, MoCoV3, DVAE)):
        return 'pretrain'
    # Here, because these imports take seconds; and a model of theirs has imported them already.
    if find_spec('mmdet'):
        from mmdet.models.detectors import BaseDetector

        if issubclass(kind, BaseDetector):
            return 'detect'
    if find_spec('mmseg'):
        from mmseg.models.segmentors import BaseSegmentor

        if issubclass(kind, BaseSegmentor):
            return 'segment'
    raise UserError(
        f'{kind.__name__} is no model that this project knows: a pre-training, a ViTClassifier, a detector of '
        'MMDetection or a segmentor of MMSegmentation'
    )
