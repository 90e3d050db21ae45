"""One photo, some of its patches hidden, and what a pre-trained model makes of them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

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
