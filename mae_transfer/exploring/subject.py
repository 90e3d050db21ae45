"""What is explored: a model, and what can be asked of it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from ..errors import UserError
from ..inference.bare_vit import BareViT
from ..inference.encoder import Encoder, encoder_of_bare, encoder_of_trained
from ..inference.trained import Trained, usable_device
from ..paths import shown
from ..pretraining.masked_model import MaskedModel
from ..visualization.shown_bands import ShownBands, shown_bands
from .attention import attention_from
from .photos import Photo
from .reconstruction import reconstruct

#: Patches of a photo's side, at most: those of detectors are many, and attention over all of them takes minutes.
MOST_PATCHES = 32


@dataclass(frozen=True)
class MaskedPictures:
    """What is shown of a photo whose patches are hidden: pictures (h, w, 3) uint8, and the loss.

    Attributes:
        masked, predicted, original: the pictures.
        loss: over the hidden patches; None where none is hidden.
    """

    masked: np.ndarray = field(repr=False)
    predicted: np.ndarray = field(repr=False)
    original: np.ndarray = field(repr=False)
    loss: float | None


class Subject:
    """A model, in evaluation mode, and what can be asked of it.

    Args:
        source: a run that was loaded, or a ViT alone.
        device: of a ViT alone; None for a GPU if there is one.

    Attributes:
        encoder: the ViT, with what its images are like.
        size: (height, width) of the crops that it sees.
        grid: (rows, columns) of their patches.
        patch_size: side of a patch in pixels.
        model: which reconstructs photos; None if it does not.
        why_not: the reason then, in a sentence; '' otherwise.
        description: of the model, in a line.

    Raises:
        UserError: a model without a ViT, or of BGR.
    """

    def __init__(self, source: Trained | BareViT, device: str | torch.device | None = None) -> None:
        if isinstance(source, Trained):
            self.encoder: Encoder = encoder_of_trained(source, 'patches')
            self.exif_orientation = bool(source.cfg.get('exif_orientation', False))
            kind, file = type(source.model).__name__, source.checkpoint.name
        else:
            self.encoder = encoder_of_bare(source, 'patches').to(usable_device(device))
            self.exif_orientation, kind, file = False, 'a ViT alone', ''
        vit = self.encoder.vit
        self.patch_size = patch = vit.patch_size
        rows, columns = vit.grid
        self.grid = (min(rows, MOST_PATCHES), min(columns, MOST_PATCHES))
        self.size = (self.grid[0] * patch, self.grid[1] * patch)
        self.model, self.why_not = reconstructing(source)
        self.shown: ShownBands | None = shown_bands(self.encoder.bands)
        parts = [kind, f'ViT of width {vit.embed_dim}, {vit.depth} blocks, {vit.size.num_heads} heads']
        parts += [f'{self.grid[0]} x {self.grid[1]} patches of {patch} pixels', file, str(self.device)]
        self.description = ' · '.join(part for part in parts if part)

    @property
    def device(self) -> torch.device:
        """Where the model computes."""
        return next(self.encoder.parameters()).device

    @property
    def heads(self) -> int:
        """Number of attention heads."""
        return self.encoder.vit.size.num_heads

    def normalised(self, photo: Photo) -> Tensor:
        """A photo as the ViT takes it, (1, C, h, w) on the device."""
        return self.encoder.data_preprocessor(dict(inputs=photo.pixels[None]), False)['inputs']

    def picture(self, photo: Photo) -> np.ndarray:
        """A photo (h, w, 3) uint8, in colours."""
        return self._pictures([self.normalised(photo)])[0]

    def _pictures(self, images: list[Tensor]) -> list[np.ndarray]:
        """Normalised images (1, C, h, w) as pictures; bands are stretched as the last of the images needs it."""
        preprocessor = self.encoder.data_preprocessor
        if self.shown is None:
            pictures = [preprocessor.to_uint8(image)[0].movedim(0, 2).cpu().numpy() for image in images]
            return [picture if picture.shape[2] == 3 else picture.repeat(3, 2) for picture in pictures]
        values = [preprocessor.to_values(image)[0].movedim(0, 2).cpu().numpy() for image in images]
        stretch = self.shown.stretch(values[-1])
        return [stretch.picture(value) for value in values]

    def masked(self, photo: Photo, hidden: np.ndarray, pasted: bool) -> MaskedPictures:
        """A photo masked, reconstructed and whole; of a model that does not reconstruct, masked and whole.

        Args:
            hidden: (N,) bool, for each patch whether it is hidden.
            pasted: whether shown patches are the photo's own in the reconstruction.

        Raises:
            UserError: the model does not reconstruct, for the reason of ``why_not``.
        """
        if self.model is None:
            raise UserError(self.why_not)
        image = self.normalised(photo)
        found = reconstruct(self.model, image, hidden, pasted)
        masked, predicted, original = self._pictures([found.masked, found.predicted, image])
        return MaskedPictures(masked, predicted, original, found.loss)

    def attention(self, photo: Photo, patch: int) -> np.ndarray:
        """The shares of the last block's attention that a patch gives; see
        :func:`~mae_transfer.exploring.attention.attention_from`: (heads, special + N)."""
        return attention_from(self.encoder.vit, self.normalised(photo), patch).numpy()

    @torch.no_grad()
    def features(self, photo: Photo) -> np.ndarray:
        """The features (rows, columns, D) of the patches of a photo, after the final norm, if the ViT has one."""
        tokens = self.encoder.vit.tokens(self.normalised(photo))[0, self.encoder.vit.num_prefix :]
        return tokens.float().cpu().numpy().reshape(*self.grid, -1)


def reconstructing(source: Trained | BareViT) -> tuple[MaskedModel | None, str]:
    """The model that reconstructs photos; or None, and why there is none, in a sentence."""
    if isinstance(source, BareViT):
        return None, (
            f'{shown(source.source)} holds a ViT alone, and pixels are predicted by the decoder, which is discarded '
            'after pre-training: give the work_dir of an MAE run to see reconstructions.'
        )
    model = source.model
    if not isinstance(model, MaskedModel):
        what = f'a {type(model).__name__}'
        return None, f'{shown(source.source)} is {what}, which predicts no pixels: only pre-trainings by masking do.'
    if not model.target.invertible:
        return None, f'the predictions of its target, {type(model.target).__name__}, cannot be turned into pixels.'
    if not model.target.ready:
        return None, f'its target, {type(model.target).__name__}, was never prepared.'
    return model, ''
