"""One photo, some of its patches hidden, and what a pre-trained model makes of them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..pretraining import NormalizedPixelTarget, PCATarget, PixelTarget, Target, TokenTarget
from ..pretraining.masked_model import MaskedModel
from ..vit.patches import join_patches
from .masks import mask_of


class Reconstruction(NamedTuple):
    """A photo masked, and reconstructed.

    Attributes:
        masked: (1, C, H, W), normalised; hidden patches are zero, which is the mean colour.
        predicted: (1, C, H, W), normalised.
        loss: the model's loss for this photo, over the hidden patches; None where none is hidden.
    """

    masked: Tensor
    predicted: Tensor
    loss: float | None


@torch.no_grad()
def reconstruct(model: MaskedModel, image: Tensor, hidden: np.ndarray, pasted: bool = True) -> Reconstruction:
    """Hide patches of a photo and let the model predict them.

    Args:
        model: in evaluation mode, on the device of the photo.
        image: (1, C, H, W), normalised.
        hidden: (N,) bool, for each patch whether it is hidden; all or none may be.
        pasted: whether the shown patches are the photo's own; otherwise they are predicted, too, as the model never
            was trained to do unless its ``loss_on`` is 'all'.

    Raises:
        UserError: the target cannot turn its predictions into pixels.
    """
    mask, grid, patch = mask_of(hidden, image.device), model.grid(image), model.vit.patch_size
    everywhere = model.predict(image, mask, everywhere=True)
    predicted = join_patches(model.target.to_pixels(everywhere, image, patch), grid)
    is_hidden = mask.as_picture(grid, patch)
    loss = None
    if hidden.any():
        of_hidden = everywhere.gather(1, mask.masked[..., None].expand(-1, -1, everywhere.shape[2]))
        loss = float(model.target.loss(of_hidden, model.target(image, patch, mask.masked))[0])
    if pasted:
        predicted = torch.where(is_hidden > 0, predicted, image)
    return Reconstruction(image * (1 - is_hidden), predicted, loss)


def what_is_borrowed(target: Target) -> str:
    """What a picture of a reconstruction takes from the hidden patches themselves, in a sentence or two."""
    if isinstance(target, NormalizedPixelTarget):
        return (
            'The target is each patch normalised by its own mean and deviation. To show pixels, the predicted patches '
            '**borrow the mean and the deviation of the true, hidden patch**: brightness and contrast of a patch are '
            'given away, what is in it is predicted. (The pictures in the paper are made in this way, too.)'
        )
    if isinstance(target, (PixelTarget, PCATarget)):
        return 'The target is the pixels: the picture borrows nothing from the hidden patches.'
    if isinstance(target, TokenTarget):
        return (
            'The target is tokens of a tokenizer: the most probable ones are decoded to colours, and the picture '
            'borrows nothing from the hidden patches.'
        )
    return f'The picture is what {type(target).__name__}.to_pixels makes of the predictions.'


def unit_of(target: Target) -> str:
    """What the loss of a target measures, in words."""
    if isinstance(target, NormalizedPixelTarget):
        return 'mean squared error of pixels normalised per patch: 1 is what a patch gets that is predicted flat'
    if isinstance(target, PixelTarget):
        return "mean squared error of pixels, in deviations of the data's colours"
    if isinstance(target, TokenTarget):
        return 'cross entropy of the tokens, in nats'
    return f'of {type(target).__name__}'
