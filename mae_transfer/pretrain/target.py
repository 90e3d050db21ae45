"""What the decoder should predict for the masked patches, and how far off it is."""

from __future__ import annotations

from torch import Tensor, nn

from ..registry import MODELS
from ..vit.patches import flatten_patches, take_patches, unflatten_patches


@MODELS.register_module()
class PixelTarget(nn.Module):
    """The patch's pixels, as the network's input has them; loss: mean squared error (MAE section 3)."""

    def dim(self, patch_size: int, channels: int) -> int:
        """Length P of what is predicted for a patch."""
        return patch_size**2 * channels

    def forward(self, images: Tensor, patch_size: int, index: Tensor | None = None) -> Tensor:
        """What is to be predicted.

        Args:
            images: (B, C, H, W), normalised.
            index: (B, M) patch numbers; None for all.

        Returns:
            (B, M, P) float32.
        """
        return flatten_patches(take_patches(images, patch_size, index)).float()

    def loss(self, prediction: Tensor, target: Tensor) -> Tensor:
        """(B, M, P) twice to the losses (B,) of the images, in float32 whatever the autocast type."""
        return (prediction.float() - target).square().mean(dim=(1, 2))

    def to_pixels(self, prediction: Tensor, images: Tensor, patch_size: int, index: Tensor | None = None) -> Tensor:
        """Predictions (B, M, P) to patches of pixels (B, M, C, p, p) in the input's normalisation."""
        return unflatten_patches(prediction.float(), patch_size)


@MODELS.register_module()
class NormalizedPixelTarget(PixelTarget):
    """Pixels normalised by the mean and the deviation of their own patch (MAE section 3, Table 1d).

    The statistics run over all p * p * C values of the patch, with the unbiased variance and 1e-6 within the root, as
    in the official code (``norm_pix_loss``).
    """

    def _normalise(self, patches: Tensor) -> tuple[Tensor, Tensor]:
        mean = patches.mean(dim=-1, keepdim=True)
        deviation = (patches.var(dim=-1, keepdim=True) + 1e-6).sqrt()
        return mean, deviation

    def forward(self, images: Tensor, patch_size: int, index: Tensor | None = None) -> Tensor:
        """As :meth:`PixelTarget.forward`, each patch normalised."""
        patches = super().forward(images, patch_size, index)
        mean, deviation = self._normalise(patches)
        return (patches - mean) / deviation

    def to_pixels(self, prediction: Tensor, images: Tensor, patch_size: int, index: Tensor | None = None) -> Tensor:
        """As :meth:`PixelTarget.to_pixels`, with the true patch's mean and deviation, which the model does not predict.

        This is how the paper's pictures are made; the picture knows the brightness of the hidden patch, the model does
        not.
        """
        mean, deviation = self._normalise(super().forward(images, patch_size, index))
        return unflatten_patches(prediction.float() * deviation + mean, patch_size)
