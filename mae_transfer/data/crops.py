"""Crops of labelled photos: fine-tuning, linear probing, evaluation. PIL images go in, uint8 tensors (C, h, w) come
out."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from PIL import Image
from timm.data import create_transform
from timm.layers import to_2tuple
from torchvision.transforms import InterpolationMode, v2

from ..errors import UserError
from ..registry import TRANSFORMS

_BICUBIC = InterpolationMode.BICUBIC


@TRANSFORMS.register_module()
class FineTuneCrop:
    """A random crop, flipped and augmented, as MAE is fine-tuned (official main_finetune.py): timm's training
    transform.

    Normalisation and random erasing follow on the device, in that order.

    Args:
        img_size: side, or (height, width), of the crop.
        scale: least and greatest share of the image's area that a crop shows.
        auto_augment: timm's name of a RandAugment, AugMix or AutoAugment policy; None for none.
        color_jitter: strength of random brightness, contrast and saturation; only without ``auto_augment``, as in timm.
        hflip: probability of a flip.

    Raises:
        UserError: a policy that timm does not know; both kinds of augmentation; a policy on images that are not RGB.
    """

    def __init__(
        self,
        img_size: int | tuple[int, int],
        scale: tuple[float, float] = (0.08, 1.0),
        auto_augment: str | None = 'rand-m9-mstd0.5-inc1',
        color_jitter: float | tuple[float, ...] | None = None,
        hflip: float = 0.5,
    ):
        if auto_augment and color_jitter is not None:
            raise UserError(
                f"color_jitter={color_jitter} has no effect beside auto_augment='{auto_augment}': set one of them to "
                'None'
            )
        self.auto_augment = auto_augment
        try:
            crop, augment, _ = create_transform(
                to_2tuple(img_size),
                is_training=True,
                scale=tuple(scale),
                hflip=hflip,
                color_jitter=color_jitter,
                auto_augment=auto_augment,
                interpolation='bicubic',
                separate=True,
            )
        except (AssertionError, KeyError, ValueError) as error:
            raise UserError(
                f"timm knows no augmentation auto_augment={auto_augment!r}, color_jitter={color_jitter!r}; MAE's is "
                "auto_augment='rand-m9-mstd0.5-inc1'"
            ) from error
        self.transform = v2.Compose([crop, augment, v2.PILToTensor()])

    def __call__(self, image: Image.Image) -> torch.Tensor:
        if self.auto_augment and image.mode != 'RGB':
            raise UserError(
                f"auto_augment='{self.auto_augment}' is for RGB images; found mode '{image.mode}': set "
                'auto_augment=None'
            )
        return self.transform(image)


@TRANSFORMS.register_module()
class ProbeCrop:
    """A random crop and a flip, as MAE's linear probe is trained (BYOL's crop; official util/crop.py).

    Area and aspect ratio are drawn once and each side is clamped to the image's, where torchvision would draw anew
    until both fit: on long images it shows more of the short side.

    Args:
        img_size: side, or (height, width), of the crop.
        scale: least and greatest share of the image's area.
    """

    def __init__(self, img_size: int | tuple[int, int], scale: tuple[float, float] = (0.08, 1.0)):
        self.size, self.scale = list(to_2tuple(img_size)), scale
        self.finish = v2.Compose([v2.RandomHorizontalFlip(), v2.PILToTensor()])

    def box(self, width: int, height: int) -> tuple[int, int, int, int]:
        """Draw (top, left, height, width), in pixels, for an image of this size."""
        area = width * height * torch.empty(1).uniform_(*self.scale).item()
        ratio = math.exp(torch.empty(1).uniform_(math.log(3 / 4), math.log(4 / 3)).item())
        crop_width = min(max(1, round(math.sqrt(area * ratio))), width)
        crop_height = min(max(1, round(math.sqrt(area / ratio))), height)
        top = torch.randint(height - crop_height + 1, ()).item()
        left = torch.randint(width - crop_width + 1, ()).item()
        return top, left, crop_height, crop_width

    def __call__(self, image: Image.Image) -> torch.Tensor:
        return self.finish(v2.functional.resized_crop(image, *self.box(*image.size), self.size, interpolation=_BICUBIC))


@TRANSFORMS.register_module()
class CentreCrop:
    """The centre of an image, as MAE is evaluated (official util/datasets.py).

    Args:
        img_size: side, or (height, width), of the crop.
        crop_pct: the crop's longer side as a share of the resized image's shorter one; None: 224 / 256 up to a side of
            224, 1 above.

    Raises:
        UserError: a share that is not above 0 and at most 1.
    """

    def __init__(self, img_size: int | tuple[int, int], crop_pct: float | None = None):
        size = to_2tuple(img_size)
        if crop_pct is None:
            crop_pct = 224 / 256 if max(size) <= 224 else 1.0
        if not 0 < crop_pct <= 1:
            raise UserError(f'crop_pct is a share above 0 and at most 1, e.g. .875; found {crop_pct}')
        self.transform = v2.Compose(
            [v2.Resize(int(max(size) / crop_pct), interpolation=_BICUBIC), v2.CenterCrop(size), v2.PILToTensor()]
        )

    def __call__(self, image: Image.Image) -> torch.Tensor:
        return self.transform(image)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Let Python's, NumPy's and torch's (CPU) generators start at ``seed`` within, and go on as before after it."""
    python, numpy = random.getstate(), np.random.get_state()
    try:
        with torch_seeded(seed):
            random.seed(seed)
            np.random.seed(seed % 2**32)
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)


@contextmanager
def torch_seeded(seed: int) -> Iterator[None]:
    """As :func:`seeded`, for torchvision's transforms, which draw from torch's generator alone: no states of others to
    copy."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would set the GPU's generator too
        yield
