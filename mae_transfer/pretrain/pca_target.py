"""The coefficients of a patch's largest principal components as what the decoder predicts."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..errors import UserError
from ..registry import MODELS
from ..vit.patches import flatten_patches, take_patches, unflatten_patches


@MODELS.register_module()
class PCATarget(nn.Module):
    """The largest PCA coefficients of the patch's pixels (MAE Table 1d: 96 of them); loss: mean squared error.

    The paper does not say whether the coefficients were whitened. They are not here: a coefficient counts by the
    variance that it has in pixels, so that the loss is that of :class:`~mae_transfer.pretrain.PixelTarget` within the
    subspace.

    The basis comes from a pass over photos (:class:`~mae_transfer.hooks.FitTargetHook`) and is stored with the model:
    buffers ``mean`` (P,) and ``basis`` (P, components), columns orthonormal, the largest variance first. A basis of
    zeros is one that was not fitted yet.

    Args:
        components: number of coefficients.
        max_images: photos, at most, that the basis is fitted to; ours, the paper does not say how many.
    """

    def __init__(self, components: int = 96, max_images: int = 10_000):
        super().__init__()
        if components < 1 or max_images < 1:
            raise UserError(
                f'PCATarget takes components and max_images of 1 or more; found {components} and {max_images}'
            )
        self.components, self.max_images = components, max_images
        self.fitted = False

    def dim(self, patch_size: int, channels: int) -> int:
        """Number of coefficients; makes room for the basis of patches of this size.

        Raises:
            UserError: more components than a patch has values.
        """
        length = patch_size**2 * channels
        if self.components > length:
            raise UserError(
                f'PCATarget.components {self.components} is more than the {length} values of a patch of {patch_size} x '
                f'{patch_size} x {channels}: choose {length} or fewer'
            )
        if 'basis' not in self._buffers or len(self.basis) != length:
            self.register_buffer('mean', torch.zeros(length))
            self.register_buffer('basis', torch.zeros(length, self.components))
            self.fitted = False
        return self.components

    def statistics(self, images: Tensor, patch_size: int) -> Tensor:
        """What a batch adds to the fit; the sum over any split of the photos is the same.

        Args:
            images: (B, C, H, W), normalised.

        Returns:
            (1 + P, 1 + P) float64: number of patches at [0, 0], sum of the patches in the first row and column, sum of
            their outer products in the rest.
        """
        patches = flatten_patches(take_patches(images, patch_size)).flatten(0, 1).double()
        patches = torch.cat([torch.ones_like(patches[:, :1]), patches], dim=1)
        return patches.T @ patches

    @torch.no_grad()
    def fit(self, statistics: Tensor) -> float:
        """Take the principal components from the sum of :meth:`statistics`.

        A component's sign is the one that makes its largest entry positive.

        Returns:
            Share of the variance that the components hold, 0 to 1.

        Raises:
            UserError: fewer patches than components, or patches that are all alike.
        """
        count = round(statistics[0, 0].item())
        if count <= self.components:
            raise UserError(
                f'PCATarget.components {self.components} needs more patches than it has components; found {count}: '
                'give more photos'
            )
        mean = statistics[0, 1:] / count
        covariance = statistics[1:, 1:] / count - mean.outer(mean)
        variances, vectors = torch.linalg.eigh((covariance + covariance.T) / 2)
        variances, vectors = variances.flip(0).clamp_min(0), vectors.flip(1)[:, : self.components]
        if not variances[0] > 0:
            raise UserError(f'PCATarget found no variance in {count} patches: the photos are of one colour')
        largest = vectors.gather(0, vectors.abs().argmax(dim=0, keepdim=True))
        self.mean.copy_(mean)
        self.basis.copy_(vectors * largest.sign())
        self.fitted = True
        return (variances[: self.components].sum() / variances.sum()).item()

    def forward(self, images: Tensor, patch_size: int, index: Tensor | None = None) -> Tensor:
        """What is to be predicted.

        Args:
            images: (B, C, H, W), normalised.
            index: (B, M) patch numbers; None for all.

        Returns:
            (B, M, components) float32, whatever the autocast type.

        Raises:
            UserError: the basis was not fitted.
        """
        self._check_fitted()
        patches = flatten_patches(take_patches(images, patch_size, index)).float()
        with torch.autocast(images.device.type, enabled=False):
            return (patches - self.mean) @ self.basis

    def loss(self, prediction: Tensor, target: Tensor) -> Tensor:
        """(B, M, components) twice to the losses (B,) of the images, in float32 whatever the autocast type."""
        return (prediction.float() - target).square().mean(dim=(1, 2))

    def to_pixels(self, prediction: Tensor, images: Tensor, patch_size: int, index: Tensor | None = None) -> Tensor:
        """Coefficients (B, M, components) to patches of pixels (B, M, C, p, p); what lies outside of the subspace is
        lost."""
        self._check_fitted()
        with torch.autocast(images.device.type, enabled=False):
            return unflatten_patches(prediction.float() @ self.basis.T + self.mean, patch_size)

    def _check_fitted(self) -> None:
        if not self.fitted:
            raise UserError(
                "PCATarget has no basis yet: add dict(type='FitTargetHook') to custom_hooks, or load a model that has "
                'one'
            )

    def _load_from_state_dict(self, *args, **kwargs) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        self.fitted = 'basis' in self._buffers and bool(self.basis.any())
