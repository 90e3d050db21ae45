"""The loss of a training step on random images, for every kind of model."""

from __future__ import annotations

from collections.abc import Callable

import torch
from mmdet.models import BaseDetector
from mmengine.config import Config
from mmengine.registry import MODELS
from mmengine.structures import PixelData
from mmseg.models import BaseSegmentor
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from ..classify import ViTClassifier
from ..errors import UserError
from ..kinds import is_kind
from ..pretraining import MoCoV3
from ..pretraining.masked_model import MaskedModel


def training_loss(model: nn.Module, images: Tensor) -> Callable[[], Tensor]:
    """The loss of a training step on images (B, C, H, W), as a function of nothing: every kind of model takes its own
    views and labels, which are made here.

    Of a detector it is the sum of the pyramid's maps: what its heads compute depends on the boxes that are found, and
    fake tensors have no values.

    Raises:
        UserError: a model of another kind.
    """
    numbers = torch.arange(len(images), device=images.device)
    if isinstance(model, MaskedModel):
        return lambda: model(images, numbers)['loss']
    if isinstance(model, MoCoV3):
        views = torch.stack([images, images.flip(-1)], dim=1)

        def compare() -> Tensor:
            model.update_momentum_encoder(0.99)
            return model(views)['loss']

        return compare
    if isinstance(model, ViTClassifier):
        labels = nn.functional.one_hot(numbers % model.num_classes, model.num_classes).float()
        return lambda: model(images, labels)['loss']
    if isinstance(model, BaseSegmentor):
        samples = [_scene(images.shape[2:], images.device) for _ in images]

        def segment() -> Tensor:
            losses = model(images, samples, mode='loss')
            return torch.stack([value for name, value in losses.items() if 'loss' in name]).sum()

        return segment
    if isinstance(model, BaseDetector):
        return lambda: torch.stack([values.float().sum() for values in model.extract_feat(images)]).sum()
    raise UserError(
        f'what a step of {type(model).__name__} needs is not known: name configs of MAE, MoCoV3, BEiT, ViTClassifier, '
        'or of a segmentor or detector'
    )


def leaves_out_heads(cfg: Config) -> bool:
    """Whether :func:`training_loss` leaves out the heads of a config's model: a detector's."""
    return is_kind(cfg.model, MODELS, cfg.get('default_scope'), BaseDetector)


def _scene(size: torch.Size, device: torch.device) -> SegDataSample:
    labels = torch.zeros(1, *size, dtype=torch.int64, device=device)
    return SegDataSample(gt_sem_seg=PixelData(data=labels), metainfo=dict(img_shape=tuple(size)))
