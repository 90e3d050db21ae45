"""Photos in two sizes, the ViT's and a tokenizer's: the augmentation of BEiT."""

from __future__ import annotations

import torch
from timm.layers import to_2tuple
from torchvision.transforms import InterpolationMode, RandomResizedCrop, v2

from ...errors import UserError
from ...registry import DATASETS
from ..files.bands import Bands, resolve_bands
from .crops import CentreCrop, Pixels
from .image_dataset import MAX_PIXELS
from .random_crop import ASPECT
from .unlabelled import Photos


@DATASETS.register_module()
class PhotosInTwoSizes(Photos):
    """Crops of photos, each in the size of the ViT and in that of its tokenizer.

    As in the official code (``datasets.py``): the photo is jittered in colour and flipped, and one crop of random
    position, size and aspect ratio is resized twice, for the ViT bicubic, for the tokenizer by Lanczos. Photos of 'val'
    are centre crops, resized in the same way.

    Args:
        data_root, split, img_size, hold_out, exif_orientation, max_pixels: see :class:`Photos`.
        token_scale: size of the tokenizer's picture, as a share of ``img_size``: its stride, divided by the side of the
            ViT's patches.
        scale: least and greatest share of the photo's area that a crop shows.
        color_jitter: strengths of random brightness, contrast, saturation and hue in 'train'; None for no jitter.
        bands: 'RGB'. Tokenizers of other bands get the ViT's picture, which :class:`Photos` makes.

    Items: as those of :class:`Photos`, and ``token_images`` (3, h', w') uint8.

    Raises:
        UserError: as :class:`Photos`; other ``bands`` than 'RGB'; a ``token_scale`` that is not above 0.
    """

    def __init__(
        self,
        data_root: str,
        split: str = 'train',
        img_size: int | tuple[int, int] = 224,
        token_scale: float = 0.5,
        scale: tuple[float, float] = (0.08, 1.0),
        color_jitter: tuple[float, float, float, float] | None = (0.4, 0.4, 0.4, 0.0),
        hold_out: float = 0.02,
        bands: Bands = 'RGB',
        exif_orientation: bool = False,
        max_pixels: int | None = MAX_PIXELS,
    ) -> None:
        if resolve_bands(bands) != 'RGB':
            raise UserError(
                f"PhotosInTwoSizes is for bands='RGB'; found bands={bands}: set the data sets' type to 'Photos', and "
                "the tokenizer gets the ViT's picture"
            )
        if not isinstance(token_scale, (int, float)) or token_scale <= 0:
            raise UserError(f'token_scale is a share of img_size above 0, e.g. .5; found {token_scale}')
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
        size = to_2tuple(img_size)
        token_size = [max(1, round(side * token_scale)) for side in size]
        self.scale = list(scale)
        self.sizes = ((list(size), InterpolationMode.BICUBIC), (token_size, InterpolationMode.LANCZOS))
        jitter = [] if color_jitter is None else [v2.ColorJitter(*color_jitter)]
        self.before_crop = v2.Compose([*jitter, v2.RandomHorizontalFlip()])
        whole = CentreCrop(img_size)
        self.centre_crops = (whole, CentreCrop((token_size[0], token_size[1]), whole.crop_pct, 'lanczos'))

    def item(self, image: Pixels, index: int, seed: int) -> dict:
        """See the class."""
        inputs, token_images = (
            self._random_crop(image) if self.training else [crop(image) for crop in self.centre_crops]
        )
        return dict(inputs=inputs, token_images=token_images, seeds=seed)

    def _random_crop(self, image: Pixels) -> list[torch.Tensor]:
        """One random crop in both sizes."""
        image = self.before_crop(image)
        box = RandomResizedCrop.get_params(image, self.scale, list(ASPECT))
        pictures = [v2.functional.resized_crop(image, *box, size, interpolation) for size, interpolation in self.sizes]
        return [v2.functional.pil_to_tensor(picture) for picture in pictures]
