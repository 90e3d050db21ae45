"""What the decoder should predict for the masked patches, and the loss of a prediction."""

from __future__ import annotations

from collections.abc import Iterable

from mmengine.model import BaseDataPreprocessor
from torch import Tensor, nn

from ..errors import UserError
from ..registry import MODELS
from ..vit.patches import flatten_patches, take_patches, unflatten_patches


class Target(nn.Module):
    """Base class of all prediction targets: what the decoder predicts for a patch, and the loss of a prediction.

    To add a target, derive from this class, register the class with ``@MODELS.register_module()`` and name it in a
    config, ``model.target=dict(type='MyTarget')``; further keys are passed to ``__init__``.

    Shapes: B images of C channels and H x W pixels; patches of p x p pixels, p = ``patch_size``, numbered row by row; M
    patches of each image are predicted, each as P numbers; ``index`` (B, M) int64 contains their numbers, and None
    stands for all patches in order.

    A subclass must implement

    - :meth:`dim`: ``(p, C)`` to P;
    - :meth:`forward`: images (B, C, H, W) and ``index`` to the targets (B, M, P), float32;
    - :meth:`to_pixels`: predictions (B, M, P) to patches of pixels (B, M, C, p, p), float32; if that is impossible, set
      ``invertible = False`` instead.

    It may override

    - :meth:`loss`: predictions (B, M, P) and targets to the loss of each image (B,), float32; default: the mean squared
      error. With a loss of its own, :meth:`forward` may return any tensor (B, M, ...) that the loss accepts;
    - :meth:`use_preprocessor`, to convert normalised values to colours;
    - :meth:`prepare` with the attributes :attr:`ready` and :attr:`images_needed`, to learn from training images.

    It may rely on the following:

    - The :class:`~mae_transfer.pretraining.MAE` calls :meth:`use_preprocessor` and then :meth:`dim`, once each, when it
      is built. :class:`~mae_transfer.hooks.FitTargetHook` calls :meth:`prepare` once before training if
      :attr:`images_needed` is above 0. :meth:`forward` and :meth:`loss` are called at every step, :meth:`to_pixels` for
      pictures.
    - Images are normalised by the preprocessor of the MAE. H and W are multiples of p, but can differ between batches;
      p and C are those that :meth:`dim` was called with.
    - The target is a submodule of the MAE: its buffers, parameters and submodules move to the device of the model and
      are part of its checkpoints. What it learns from data or loads from a file belongs there. Its parameters are
      trained with the model unless ``requires_grad`` is off.

    :meth:`forward`, :meth:`loss` and :meth:`to_pixels` may be called under autocast, with predictions of any
    floating-point type, and must compute in float32 regardless.

    Attributes:
        invertible: whether :meth:`to_pixels` returns pixels; if not, no reconstructions are drawn.
        pictured: what a picture of predictions shows, for its caption; what :meth:`to_pixels` takes from the true image
            must be said here.
        loss_unit: what :meth:`loss` measures, to be read beside its value.
        ready: whether :meth:`forward` can be computed. A target that must be prepared or loaded first sets it to False
            in ``__init__`` and to True when it is prepared or when a checkpoint with all it needs is loaded
            (``nn.Module._load_from_state_dict`` is the place to notice that). While it is False, :meth:`forward` and
            :meth:`to_pixels` raise :class:`~mae_transfer.errors.UserError`.
        images_needed: the largest number of training images that :meth:`prepare` wants, over all processes; 0 if there
            is nothing to prepare, or nothing left to prepare.
    """

    invertible: bool = True
    pictured: str = 'pixels that the target makes of the predictions'
    loss_unit: str = "the target's own loss"
    ready: bool = True
    images_needed: int = 0

    def use_preprocessor(self, preprocessor: BaseDataPreprocessor) -> None:
        """Learn how images are normalised; the default does nothing.

        A target that needs colours instead of normalised values keeps the methods ``preprocessor.to_unit`` and
        ``preprocessor.from_unit`` (see :class:`~mae_transfer.pretraining.PhotoPreprocessor`) and calls them later, so
        that mean and standard deviation are stored in the preprocessor alone. Keep the methods, not the module, which
        would be registered as a submodule of the target.

        Args:
            preprocessor: the ``data_preprocessor`` of the MAE.

        Raises:
            UserError: the target cannot work with this preprocessor.
        """

    def dim(self, patch_size: int, channels: int) -> int:
        """Length P of the prediction for one patch.

        Args:
            patch_size: side of a patch in pixels.
            channels: C of the images.

        Raises:
            UserError: the target cannot be computed for such patches.
        """
        raise NotImplementedError(f'{type(self).__name__} must implement dim')

    def prepare(self, batches: Iterable[Tensor]) -> None:
        """Learn from training images before training starts; the default does nothing.

        Every process calls it at the same time with its own share of the images, which may be empty. Afterwards the
        state must be the same in all processes: sum statistics with ``mmengine.dist.all_reduce``, or broadcast the
        result. It runs without gradients. It must not change the random numbers of the training: draw random numbers
        from a separate ``torch.Generator``. At the end, set :attr:`ready` to True and :attr:`images_needed` to 0; set
        both when a checkpoint is loaded too, so that a resumed run is not prepared again.

        Args:
            batches: normalised images (B, C, H, W) on the device of the model; can be iterated once.

        Raises:
            UserError: nothing can be learnt from these images.
        """

    def forward(self, images: Tensor, patch_size: int, index: Tensor | None = None) -> Tensor:
        """Compute the targets of patches.

        Args:
            images: (B, C, H, W), normalised; H and W are multiples of ``patch_size``.
            patch_size: side of a patch in pixels.
            index: (B, M) numbers of the patches; None for all in row-major order.

        Returns:
            (B, M, P) float32, or another tensor (B, M, ...) if :meth:`loss` is overridden to accept it.

        Raises:
            UserError: the target is not :attr:`ready`.
        """
        raise NotImplementedError(f'{type(self).__name__} must implement forward')

    def loss(self, prediction: Tensor, target: Tensor) -> Tensor:
        """The loss of each image; the default is the mean squared error.

        Args:
            prediction: (B, M, P) from the decoder, of any floating-point type.
            target: the result of :meth:`forward` for the same patches.

        Returns:
            (B,) float32: the mean over the M patches.
        """
        return (prediction.float() - target).square().mean(dim=(1, 2))

    def to_pixels(self, prediction: Tensor, images: Tensor, patch_size: int, index: Tensor | None = None) -> Tensor:
        """Turn predictions into pixels, for pictures. A target with ``invertible = False`` need not implement it.

        Args:
            prediction: (B, M, P) from the decoder.
            images: (B, C, H, W), normalised: the images that were masked.
            patch_size: side of a patch in pixels.
            index: (B, M) numbers of the predicted patches; None for all in row-major order.

        Returns:
            (B, M, C, patch_size, patch_size) float32, normalised as ``images`` are.

        Raises:
            UserError: the target is not :attr:`invertible`, or not :attr:`ready`.
        """
        if not self.invertible:
            raise UserError(
                f'predictions of {type(self).__name__} cannot be turned into pixels: choose an invertible target, e.g. '
                'NormalizedPixelTarget, for pictures'
            )
        raise NotImplementedError(f'{type(self).__name__} must implement to_pixels, or set invertible = False')


@MODELS.register_module()
class PixelTarget(Target):
    """The normalised pixels of the patch; loss: mean squared error (MAE section 3)."""

    pictured = 'pixels as the decoder predicts them; nothing is borrowed from hidden patches'
    loss_unit = "mean squared error of pixels, in deviations of the data's colours"

    def dim(self, patch_size: int, channels: int) -> int:
        """Number of values of a patch, P = patch_size * patch_size * channels."""
        return patch_size**2 * channels

    def forward(self, images: Tensor, patch_size: int, index: Tensor | None = None) -> Tensor:
        """As :meth:`Target.forward`: (B, M, P), in the order pixel rows, pixel columns, channels."""
        return flatten_patches(take_patches(images, patch_size, index)).float()

    def to_pixels(self, prediction: Tensor, images: Tensor, patch_size: int, index: Tensor | None = None) -> Tensor:
        """As :meth:`Target.to_pixels`."""
        return unflatten_patches(prediction.float(), patch_size)


@MODELS.register_module()
class NormalizedPixelTarget(PixelTarget):
    """Pixels normalised by the mean and standard deviation of their own patch (MAE section 3, Table 1d).

    The statistics run over all p * p * C values of the patch, with the unbiased variance and 1e-6 added under the root,
    as in the official code (``norm_pix_loss``).
    """

    pictured = (
        'pixels normalised in each patch; the picture borrows the mean and deviation of the true patch, also of a '
        'hidden one: they are not predicted'
    )
    loss_unit = 'mean squared error of pixels normalised in each patch: 1 is what a flat prediction gets'

    def forward(self, images: Tensor, patch_size: int, index: Tensor | None = None) -> Tensor:
        """As :meth:`PixelTarget.forward`, each patch normalised."""
        patches = super().forward(images, patch_size, index)
        mean, deviation = _mean_and_deviation(patches)
        return (patches - mean) / deviation

    def to_pixels(self, prediction: Tensor, images: Tensor, patch_size: int, index: Tensor | None = None) -> Tensor:
        """As :meth:`Target.to_pixels`, with the mean and deviation of the true patch, which the model does not predict.

        The paper's pictures are made in the same way: a picture shows the true brightness of a masked patch.
        """
        mean, deviation = _mean_and_deviation(super().forward(images, patch_size, index))
        return unflatten_patches(prediction.float() * deviation + mean, patch_size)


def _mean_and_deviation(patches: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (B, M, 1) of each of the patches (B, M, P)."""
    return patches.mean(dim=-1, keepdim=True), (patches.var(dim=-1, keepdim=True) + 1e-6).sqrt()
