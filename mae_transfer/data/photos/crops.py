"""Crops of photos for fine-tuning and evaluation, as tensors (C, h, w); random ones: random_crop.py."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from PIL import Image
from timm.data import auto_augment, create_transform
from timm.layers import to_2tuple
from torchvision.transforms import InterpolationMode, v2

from ...errors import UserError
from ...registry import TRANSFORMS

_BICUBIC = InterpolationMode.BICUBIC
#: An image as a data set reads it: a PIL image, or an array (H, W, C), uint8 or float32.
Pixels = Image.Image | np.ndarray
#: What a data set applies to it: the result is a tensor (C, h, w), uint8, or float32 for a float32 array.
Transform = Callable[[Pixels], torch.Tensor]


class InRange:
    """torchvision's transforms, applied to a PIL image or an array; an array's channels keep their least and greatest.

    Bicubic interpolation overshoots at edges: PIL images of 8 bits are clamped to 0..255 then, an array to the range
    of each of its channels.
    """

    def __init__(self, transforms: Sequence[Callable]) -> None:
        self.transform = v2.Compose([*transforms, v2.PILToTensor()])

    def __call__(self, image: Pixels) -> torch.Tensor:
        if isinstance(image, Image.Image):
            return self.transform(image)
        array = torch.from_numpy(image).movedim(2, 0)
        return self.transform(array).clamp(array.amin((1, 2), keepdim=True), array.amax((1, 2), keepdim=True))


def size_of(image: Pixels) -> tuple[int, int]:
    """(width, height) of an image."""
    return image.size if isinstance(image, Image.Image) else (image.shape[1], image.shape[0])


def _posterize(image: Image.Image, bits_to_keep: int, **settings: float) -> Image.Image:
    """timm's, which draws 0 bits now and then; older Pillows make that a black image, newer ones an error."""
    if bits_to_keep < 1:
        return Image.new(image.mode, image.size)
    return auto_augment.posterize(image, bits_to_keep, **settings)


auto_augment.NAME_TO_OP.update(dict.fromkeys(('Posterize', 'PosterizeIncreasing', 'PosterizeOriginal'), _posterize))


@TRANSFORMS.register_module()
class FineTuneCrop:
    """Random crop, flip and augmentation of MAE's fine-tuning (official main_finetune.py): timm's training transform.

    Normalisation and random erasing follow on the device, in that order.

    Args:
        img_size: side, or (height, width), of the crop.
        scale: least and greatest share of the image's area that a crop shows.
        auto_augment: timm's name of a RandAugment, AugMix or AutoAugment policy; None for none.
        color_jitter: strength of random brightness, contrast and saturation; only without ``auto_augment``, as in timm.
        hflip: probability of a horizontal flip.

    Raises:
        UserError: a policy that timm does not know; both kinds of augmentation; a policy for images that are not RGB.
    """

    def __init__(
        self,
        img_size: int | tuple[int, int],
        scale: tuple[float, float] = (0.08, 1.0),
        auto_augment: str | None = 'rand-m9-mstd0.5-inc1',
        color_jitter: float | tuple[float, ...] | None = None,
        hflip: float = 0.5,
    ) -> None:
        if auto_augment and color_jitter is not None:
            raise UserError(
                f"color_jitter={color_jitter} has no effect with auto_augment='{auto_augment}': set one of them to None"
            )
        self.auto_augment, self.color_jitter = auto_augment, color_jitter
        try:
            crop, augment, _ = create_transform(
                to_2tuple(img_size),
                is_training=True,
                scale=scale,
                hflip=hflip,
                color_jitter=color_jitter,  # type: ignore[arg-type]  # None is allowed
                auto_augment=auto_augment,
                interpolation='bicubic',
                separate=True,
            )
        except (AssertionError, KeyError, ValueError) as error:
            raise UserError(
                f"timm knows no augmentation auto_augment={auto_augment!r}, color_jitter={color_jitter!r}; MAE's is "
                "auto_augment='rand-m9-mstd0.5-inc1'"
            ) from error
        self.transform = InRange([crop, augment])
        # timm's is for PIL images; torchvision's draws the same crops.
        self.plain = InRange(
            [
                v2.RandomResizedCrop(to_2tuple(img_size), scale=scale, interpolation=_BICUBIC),
                v2.RandomHorizontalFlip(hflip),
            ]
        )

    def __call__(self, image: Pixels) -> torch.Tensor:
        if isinstance(image, Image.Image) and image.mode == 'RGB':
            return self.transform(image)
        for name in ('auto_augment', 'color_jitter'):
            if (value := getattr(self, name)) is not None:
                raise UserError(f"{name}={value!r} is for bands='RGB': set it to None")
        return self.plain(image)


@TRANSFORMS.register_module()
class CentreCrop:
    """Centre crop of MAE's evaluation (official util/datasets.py).

    Args:
        img_size: side, or (height, width), of the crop.
        crop_pct: the crop's longer side divided by the resized image's shorter side; None: 224 / 256 for crops of up to
            224 pixels, 1 for larger ones.
        interpolation: torchvision's name of how the image is resized; 'lanczos' only for 8-bit images.

    Raises:
        UserError: ``crop_pct`` is not above 0 and at most 1; an unknown ``interpolation``.
    """

    def __init__(
        self, img_size: int | tuple[int, int], crop_pct: float | None = None, interpolation: str = 'bicubic'
    ) -> None:
        size = to_2tuple(img_size)
        if crop_pct is None:
            crop_pct = 224 / 256 if max(size) <= 224 else 1.0
        if not 0 < crop_pct <= 1:
            raise UserError(f'crop_pct is a share above 0 and at most 1, e.g. .875; found {crop_pct}')
        known = [mode.value for mode in InterpolationMode]
        if interpolation not in known:
            raise UserError(f'interpolation is one of {", ".join(known)}; found {interpolation!r}')
        self.crop_pct = crop_pct
        resize = v2.Resize(int(max(size) / crop_pct), interpolation=InterpolationMode(interpolation))
        self.transform = InRange([resize, v2.CenterCrop(size)])

    def __call__(self, image: Pixels) -> torch.Tensor:
        return self.transform(image)
