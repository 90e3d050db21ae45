"""The ViT of a pre-training as the loops on frozen features want a model, and photos as they want a data set."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.model import BaseModel, is_model_wrapper
from torch import Tensor, nn
from torch.utils.data import Dataset

from ..errors import UserError
from ..vit import ViT


class FrozenViT(nn.Module):
    """The ViT of an MAE, BEiT or MoCo v3 without masking, for :func:`~mae_transfer.classify.features.extract_features`.

    It shares the modules of the model, and has none of its own.

    Args:
        model: the model in training, or its wrapper.
        pooling: 'class_token': the class token after the final norm, as linear probing and k-NN take it; 'patch_mean':
            the mean of the patches after it. None: the class token where there is one.

    Raises:
        UserError: a model without a ViT; another pooling; the class token of a ViT that has none.
    """

    def __init__(self, model: nn.Module, pooling: str | None = None) -> None:
        super().__init__()
        own: Any = model.module if is_model_wrapper(model) else model
        vit: Any = getattr(own, 'vit', None)
        if not isinstance(vit, ViT) or not isinstance(own, BaseModel):
            raise UserError(
                f'LearningHook measures the features of a ViT, and {type(own).__name__} has none: set '
                'default_hooks.learning=None'
            )
        if pooling not in (None, 'class_token', 'patch_mean'):
            raise UserError(f"default_hooks.learning.pooling is 'class_token', 'patch_mean' or None; found {pooling!r}")
        if pooling == 'class_token' and vit.cls_token is None:
            raise UserError("the ViT has no class token: set default_hooks.learning.pooling='patch_mean'")
        self.vit, self.data_preprocessor = vit, own.data_preprocessor
        self.pooling = pooling or ('patch_mean' if vit.cls_token is None else 'class_token')

    def features(self, images: Tensor) -> Tensor:
        """One vector (B, D) for each of the normalised images (B, C, H, W)."""
        tokens = self.vit.tokens(images)
        return tokens[:, 0] if self.pooling == 'class_token' else tokens[:, self.vit.num_prefix :].mean(1)


class SomePhotos(Dataset):
    """Photos of a data set without labels, as labelled images of one class, for ``extract_features``.

    Args:
        photos: gives items with ``inputs`` (C, H, W).
        most: how many are kept, drawn without replacement and always the same; all if there are fewer.

    Raises:
        UserError: ``inputs`` of another form, such as two views of a photo.
    """

    metainfo = dict(classes=('photo',))

    def __init__(self, photos: Any, most: int) -> None:
        self.dataset = photos
        order = torch.randperm(len(photos), generator=torch.Generator().manual_seed(0))[:most]
        self.indices = order.sort().values.tolist()
        if (shape := tuple(self[0]['inputs'].shape)) and len(shape) != 3:
            raise UserError(
                f'RankMe is measured on photos (C, H, W), and an item of {type(photos).__name__} is {shape}: set '
                "default_hooks.learning.photos=dict(type='Photos', ...)"
            )

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> dict[str, Any]:
        item = self.dataset[self.indices[index]]
        return dict(inputs=item['inputs'], labels=0, indices=index, skipped=item.get('skipped', []))
