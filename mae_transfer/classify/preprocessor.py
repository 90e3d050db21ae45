"""Normalise, erase and mix labelled images on the device."""

from __future__ import annotations

from typing import Any

from timm.data import Mixup
from timm.data.random_erasing import RandomErasing

from ..errors import UserError
from ..pretraining.preprocessor import PhotoPreprocessor
from ..registry import MODELS


@MODELS.register_module()
class LabelledPreprocessor(PhotoPreprocessor):
    """Move uint8 images to the device and normalise them there; in training, also erase and mix them as timm does.

    Args:
        num_classes: number of classes of the mixed labels; set by :class:`~mae_transfer.classify.ViTClassifier`.
        erasing: settings of timm's ``RandomErasing``, e.g. ``dict(probability=.25, mode='pixel')``; None for none.
        mixup: settings of timm's ``Mixup``, e.g. ``dict(mixup_alpha=.8, cutmix_alpha=1.)``; None for none. Mixup does
            not smooth labels here, because the classifier's ``label_smoothing`` has the same effect on mixed labels.
        mean, std: as for :class:`~mae_transfer.pretraining.PhotoPreprocessor`.
    """

    def __init__(self, num_classes: int, erasing: dict | None = None, mixup: dict | None = None, **normalisation: Any):
        super().__init__(**normalisation)
        self.erasing, self.mixup = erasing, None
        if mixup is not None:
            self.mixup = Mixup(num_classes=num_classes, label_smoothing=0.0, **mixup)

    def forward(self, data: dict, training: bool = False) -> dict:
        """Turn a batch of :func:`~mae_transfer.data.photos.labelled.collate_labelled` into the arguments of
        ``ViTClassifier.forward``.

        Returns:
            ``inputs`` (B, C, H, W) float32; ``labels`` (B,) int64, or (B, num_classes) if the images were mixed.

        Raises:
            UserError: an odd number of images to mix: they are mixed in pairs.
        """
        labels = self.cast_data(data['labels'])
        inputs = super().forward(data, training)['inputs']
        if training and self.erasing is not None:
            inputs = RandomErasing(device=inputs.device, **self.erasing)(inputs)
        if training and self.mixup is not None:
            if len(inputs) % 2:
                raise UserError(
                    f'mixup and cutmix pair the images of a batch; found {len(inputs)} images: choose an even '
                    'train_dataloader.batch_size with drop_last=True'
                )
            inputs, labels = self.mixup(inputs, labels)
        return dict(inputs=inputs, labels=labels)
