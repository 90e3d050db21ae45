"""The coefficients of the largest principal components of a patch as prediction target."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from mmengine.dist import all_reduce, broadcast
from mmengine.logging import print_log
from torch import Tensor

from ..errors import UserError
from ..registry import MODELS
from ..vit.patches import flatten_patches, take_patches, unflatten_patches
from .target import Target


@MODELS.register_module()
class PCATarget(Target):
    """The largest PCA coefficients of the patch's pixels (MAE Table 1d: 96 of them); loss: mean squared error.

    The paper does not say whether the coefficients were whitened. Here they are not: each coefficient counts by its
    variance in pixels, so the loss is that of :class:`~mae_transfer.pretraining.PixelTarget` within the subspace.

    The basis is fitted to training images by :meth:`prepare`, which :class:`~mae_transfer.hooks.FitTargetHook` calls,
    and is stored with the model: buffers ``mean`` (V,) and ``basis`` (V, components), with orthonormal columns in order
    of decreasing variance; V = p * p * C values of a patch. A basis of zeros has not been fitted yet.

    Args:
        components: number of coefficients.
        max_images: largest number of images that the basis is fitted to. The default is ours; the paper gives none.

    Raises:
        UserError: either of them is below 1.
    """

    mean: Tensor
    basis: Tensor
    loss_unit = 'mean squared error of the PCA coefficients'

    def __init__(self, components: int = 96, max_images: int = 10_000):
        super().__init__()
        if components < 1 or max_images < 1:
            raise UserError(
                f'PCATarget.components and PCATarget.max_images must be 1 or more; found {components} and {max_images}'
            )
        self.components, self.max_images = components, max_images
        self.pictured = f'the {components} largest PCA coefficients of a patch; what is in the others is missing'
        self._set_ready(False)

    def _set_ready(self, ready: bool) -> None:
        self.ready, self.images_needed = ready, 0 if ready else self.max_images

    def dim(self, patch_size: int, channels: int) -> int:
        """Number of coefficients; also allocates the basis for patches of this size.

        Raises:
            UserError: more components than a patch has values.
        """
        length = patch_size**2 * channels
        if self.components > length:
            raise UserError(
                f'PCATarget.components {self.components} is more than the {length} values of a patch of {patch_size} x '
                f'{patch_size} x {channels}: choose {length} or fewer'
            )
        self.patch_size = patch_size
        if 'basis' not in self._buffers or len(self.basis) != length:
            self.register_buffer('mean', torch.zeros(length))
            self.register_buffer('basis', torch.zeros(length, self.components))
            self._set_ready(False)
        return self.components

    @torch.no_grad()
    def prepare(self, batches: Iterable[Tensor]) -> None:
        """Fit the basis to the patches of all images of all processes, and log how much variance it explains.

        Raises:
            UserError: as :meth:`fit`.
        """
        size = 1 + len(self.mean)
        total = torch.zeros(size, size, dtype=torch.float64, device=self.mean.device)
        for images in batches:
            total += self.statistics(images)
        all_reduce(total)
        share = self.fit(total)
        for buffer in (self.mean, self.basis):
            broadcast(buffer)  # processes on different hardware may differ in the last bits
        print_log(
            f'PCATarget: fitted to {round(total[0, 0].item())} patches; {self.components} of {size - 1} components '
            f'explain {100 * share:.2f} % of the variance',
            logger='current',
        )

    def statistics(self, images: Tensor) -> Tensor:
        """What a batch contributes to the fit; the sum is the same however the images are split into batches.

        Args:
            images: (B, C, H, W), normalised.

        Returns:
            (1 + V, 1 + V) float64: the number of patches at [0, 0], the sum of the patches in the rest of the first row
            and column, the sum of their outer products elsewhere.
        """
        patches = flatten_patches(take_patches(images, self.patch_size)).flatten(0, 1).double()
        patches = torch.cat([torch.ones_like(patches[:, :1]), patches], dim=1)
        return patches.T @ patches

    @torch.no_grad()
    def fit(self, statistics: Tensor) -> float:
        """Compute the principal components from the sum of :meth:`statistics`.

        The sign of a component is chosen such that its entry of largest magnitude is positive.

        Returns:
            Share of the variance that the components explain, 0 to 1.

        Raises:
            UserError: no more patches than components, or patches that are all equal.
        """
        count = round(statistics[0, 0].item())
        if count <= self.components:
            raise UserError(
                f'PCATarget needs more patches than its {self.components} components; found {count}: give more images '
                'or set fewer components'
            )
        mean = statistics[0, 1:] / count
        covariance = statistics[1:, 1:] / count - mean.outer(mean)
        variances, vectors = torch.linalg.eigh((covariance + covariance.T) / 2)
        variances, vectors = variances.flip(0).clamp_min(0), vectors.flip(1)[:, : self.components]
        if not variances[0] > 0:
            raise UserError(
                f'PCATarget found no variance in {count} patches: the images all have one and the same colour'
            )
        largest = vectors.gather(0, vectors.abs().argmax(dim=0, keepdim=True))
        self.mean.copy_(mean)
        self.basis.copy_(vectors * largest.sign())
        self._set_ready(True)
        return (variances[: self.components].sum() / variances.sum()).item()

    def forward(self, images: Tensor, patch_size: int, index: Tensor | None = None) -> Tensor:
        """As :meth:`Target.forward <mae_transfer.pretraining.Target.forward>`: (B, M, components).

        Raises:
            UserError: the basis has not been fitted.
        """
        self._check_ready()
        patches = flatten_patches(take_patches(images, patch_size, index)).float()
        with torch.autocast(images.device.type, enabled=False):
            return (patches - self.mean) @ self.basis

    def to_pixels(self, prediction: Tensor, images: Tensor, patch_size: int, index: Tensor | None = None) -> Tensor:
        """As :meth:`Target.to_pixels <mae_transfer.pretraining.Target.to_pixels>`; only the subspace is kept.

        Raises:
            UserError: the basis has not been fitted.
        """
        self._check_ready()
        with torch.autocast(images.device.type, enabled=False):
            return unflatten_patches(prediction.float() @ self.basis.T + self.mean, patch_size)

    def _check_ready(self) -> None:
        if not self.ready:
            raise UserError(
                "PCATarget has no basis yet: add dict(type='FitTargetHook') to custom_hooks, or load a model that has "
                'one'
            )

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        self._set_ready('basis' in self._buffers and bool(self.basis.any()))
