"""Two views of each photo, for pre-training that compares them: BYOL's augmentation, as MoCo v3 has it."""

from __future__ import annotations

import torch
from PIL import Image, ImageFilter
from torchvision.transforms import InterpolationMode, v2

from ...errors import UserError
from ...registry import DATASETS
from ..files.bands import Bands, resolve_bands
from .crops import InRange, Pixels, Transform
from .image_dataset import MAX_PIXELS
from .unlabelled import Photos

#: Probabilities of both views, and those of the first and the second view (BYOL, arXiv 2006.07733, Table 6; official
#: MoCo v3, ``main_moco.py``).
JITTERED, GREY = 0.8, 0.2
BLURRED, SOLARIZED = (1.0, 0.1), (0.0, 0.2)


@DATASETS.register_module()
class PhotoPairs(Photos):
    """Two views of each photo: random crops, with colours, sharpness and side changed at random.

    Each view is a crop of random position, size and aspect ratio (bilinear), jittered in colour with probability .8,
    grey with .2, and mirrored with .5. The first is always blurred; the second with .1, and solarised with .2. Both
    follow from the item's one seed. Held-out photos, of 'val', are seen in the same way, with the seed of their number.

    Args:
        data_root, split, img_size, hold_out, exif_orientation, max_pixels: see :class:`Photos`.
        scale: least and greatest share of the photo's area that a view shows (official ``--crop-min``: .08).
        color_jitter: strengths of the jitter of brightness, contrast, saturation and hue.
        blur: least and greatest deviation of the Gaussian blur, in pixels of the view (at 224: .1 to 2).
        bands: 'RGB'. Other bands have no hue, and are refused.

    Items: dict of ``inputs`` (2, 3, h, w) uint8, first and second view; ``seeds`` and ``skipped`` as :class:`Photos`.

    Raises:
        UserError: as :class:`Photos`; other ``bands`` than 'RGB'; an impossible ``blur``.
    """

    def __init__(
        self,
        data_root: str,
        split: str = 'train',
        img_size: int | tuple[int, int] = 224,
        scale: tuple[float, float] = (0.08, 1.0),
        color_jitter: tuple[float, float, float, float] = (0.4, 0.4, 0.2, 0.1),
        blur: tuple[float, float] = (0.1, 2.0),
        hold_out: float = 0.02,
        bands: Bands = 'RGB',
        exif_orientation: bool = False,
        max_pixels: int | None = MAX_PIXELS,
    ) -> None:
        if resolve_bands(bands) != 'RGB':
            raise UserError(
                f"PhotoPairs changes hue and saturation, which only bands='RGB' have; found bands={bands}: pre-train "
                'other bands by an MAE'
            )
        if not (len(blur) == 2 and 0 < blur[0] <= blur[1]):
            raise UserError(f'blur is the least and the greatest deviation in pixels, e.g. (.1,2); found {blur}')
        super().__init__(
            data_root,
            split,
            img_size,
            scale=scale,
            color_jitter=color_jitter,
            hold_out=hold_out,
            bands=bands,
            exif_orientation=exif_orientation,
            max_pixels=max_pixels,
        )
        self.views = [
            _view(img_size, scale, color_jitter, blur, blurred, solarized)
            for blurred, solarized in zip(BLURRED, SOLARIZED)
        ]

    def item(self, image: Pixels, index: int, seed: int) -> dict:
        """See the class."""
        return dict(inputs=torch.stack([view(image) for view in self.views]), seeds=seed)


def _view(
    size: int | tuple[int, int],
    scale: tuple[float, float],
    jitter: tuple[float, ...],
    blur: tuple[float, float],
    blurred: float,
    solarized: float,
) -> Transform:
    """One view of a PIL image, in the order of the official code; ``blurred`` and ``solarized`` are probabilities."""

    def blur_at_random(image: Image.Image) -> Image.Image:
        # Pillow's, as in the official code: torchvision's wants the size of a kernel, and is slower.
        return image.filter(ImageFilter.GaussianBlur(torch.empty(1).uniform_(*blur).item()))

    return InRange(
        [
            v2.RandomResizedCrop(size, scale=scale, interpolation=InterpolationMode.BILINEAR),
            v2.RandomApply([v2.ColorJitter(*jitter)], JITTERED),
            v2.RandomGrayscale(GREY),
            v2.RandomApply([blur_at_random], blurred),
            *([v2.RandomSolarize(128, solarized)] if solarized else []),
            v2.RandomHorizontalFlip(),
        ]
    )
