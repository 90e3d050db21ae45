"""MMSegmentation's heads with their loss computed in tiles: the same value in a fraction of the time and memory."""

from __future__ import annotations

import torch
from mmseg.models.decode_heads import FCNHead as MMSegFCNHead
from mmseg.models.decode_heads import UPerHead as MMSegUPerHead
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.losses import CrossEntropyLoss
from torch import Tensor, nn

from ..registry import MODELS
from .resized_cross_entropy import resized_cross_entropy


class TiledLoss(BaseDecodeHead):
    """A mix-in for MMSegmentation's decode heads: plain cross entropy by :func:`resized_cross_entropy`.

    ``class MyHead(TiledLoss, TheirHead)`` trains as ``TheirHead``: loss, gradients and accuracy are the same up to
    rounding, except that logits in bfloat16 or float16 are resized in float32, and that a pixel counts as correct also
    if other classes have exactly the logit of its own. A head with any other loss, with several losses or with a
    sampler of pixels computes them as MMSegmentation does.
    """

    def loss_by_feat(self, seg_logits: Tensor, batch_data_samples: list) -> dict[str, Tensor]:
        """The loss and the accuracy in percent of logits (B, classes, h, w), at the size of the label maps."""
        loss = self.loss_decode
        if self.sampler is not None or not _is_plain(loss):
            return super().loss_by_feat(seg_logits, batch_data_samples)
        labels = self._stack_batch_gt(batch_data_samples).squeeze(1)
        dtype = torch.promote_types(seg_logits.dtype, torch.float32)
        class_weight = None if loss.class_weight is None else seg_logits.new_tensor(loss.class_weight, dtype=dtype)
        sums = resized_cross_entropy(seg_logits, labels, class_weight, self.ignore_index, self.align_corners)
        pixels = labels.numel() if class_weight is None and not loss.avg_non_ignore else sums.weight
        # The epsilons are those of MMSegmentation, which keep images without a label from dividing 0 by 0.
        epsilon = torch.finfo(torch.float32).eps
        percent = (100.0 / (sums.labelled.double() + epsilon)).float()
        accuracy = (sums.correct.float() + epsilon) * percent
        return {loss.loss_name: loss.loss_weight * (sums.loss / (pixels + epsilon)), 'acc_seg': accuracy[None]}


def _is_plain(loss: nn.Module) -> bool:
    """Whether a loss is MMSegmentation's mean of the softmax's cross entropy; a subclass may compute another."""
    if type(loss) is not CrossEntropyLoss or loss.use_sigmoid or loss.use_mask or loss.reduction != 'mean':
        return False
    return loss.class_weight is None or not loss.avg_non_ignore  # MMSegmentation has no value for both


@MODELS.register_module()
class UPerHead(TiledLoss, MMSegUPerHead):
    """MMSegmentation's ``UPerHead``, with its settings, and :class:`TiledLoss`."""


@MODELS.register_module()
class FCNHead(TiledLoss, MMSegFCNHead):
    """MMSegmentation's ``FCNHead``, with its settings, and :class:`TiledLoss`."""
