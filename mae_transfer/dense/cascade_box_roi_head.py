"""The RoI heads of ViTDet's Cascade Mask R-CNN: a cascade of box heads and one mask head."""

from __future__ import annotations

import torch
from mmdet.models.roi_heads import CascadeRoIHead, StandardRoIHead
from mmdet.models.task_modules.samplers import SamplingResult
from mmdet.structures.bbox import bbox2roi
from torch import Tensor

from ..errors import UserError
from ..registry import MODELS


@MODELS.register_module()
class CascadeBoxRoIHead(CascadeRoIHead):
    """MMDetection's ``CascadeRoIHead`` with the differences of ViTDet's (detectron2, ``CascadeROIHeads``).

    - There is one mask head, trained on the regions of the first stage, instead of one per stage, averaged.
    - Box features pass on ``1 / num_stages`` of their gradient, so that three heads weigh on the pyramid as one would.
    - Ground-truth boxes among the regions of the first stage are kept for the later stages.
    - The class probabilities are averaged over the stages, not the logits.
    - Boxes are computed in float32 regardless of the autocast type.

    With ``stage_loss_weights=[1, 1, 1]`` and a ``PseudoSampler`` (which keeps every region) from the second stage on,
    training is the same as the original's.

    Args:
        mask_roi_extractor: one extractor, not None: mask regions have their own size.
        mask_head: one head.
        **kwargs: as in ``CascadeRoIHead``: ``num_stages``, ``stage_loss_weights``, ``bbox_roi_extractor``,
            ``bbox_head``, ``train_cfg`` (one for each stage), ``test_cfg``.

    Raises:
        UserError: a list of mask heads or extractors; no extractor.
    """

    # CascadeRoIHead calls _bbox_forward, _mask_forward and _refine_roi. It has no public methods to override instead.

    def init_mask_head(self, mask_roi_extractor: dict, mask_head: dict) -> None:
        """Build the mask head and its extractor."""
        parts = (mask_roi_extractor, mask_head)
        if mask_roi_extractor is None or any(isinstance(part, (list, tuple)) for part in parts):
            raise UserError(
                'CascadeBoxRoIHead has one mask_head and one mask_roi_extractor; for one mask head per stage choose '
                "type='CascadeRoIHead'"
            )
        StandardRoIHead.init_mask_head(self, mask_roi_extractor, mask_head)

    def _bbox_forward(self, stage: int, x: tuple[Tensor, ...], rois: Tensor) -> dict[str, Tensor]:
        extractor = self.bbox_roi_extractor[stage]
        features = extractor(x[: extractor.num_inputs], rois)
        if features.requires_grad:
            features.register_hook(lambda gradient: gradient / self.num_stages)
        scores, boxes = self.bbox_head[stage](features)
        return dict(cls_score=scores.float(), bbox_pred=boxes.float(), bbox_feats=features)

    def bbox_loss(self, stage: int, x: tuple[Tensor, ...], sampling_results: list[SamplingResult]) -> dict:
        """Loss of one stage's box head; see ``CascadeRoIHead.bbox_loss``."""
        for result in sampling_results:
            result.pos_is_gt = torch.zeros_like(result.pos_is_gt)  # MMDetection would drop ground truth between stages
        return super().bbox_loss(stage, x, sampling_results)

    def mask_loss(
        self, stage: int, x: tuple[Tensor, ...], sampling_results: list[SamplingResult], batch_gt_instances: list
    ) -> dict:
        """Loss of the mask head on the positive regions of the first stage; nothing in the later stages."""
        if stage:
            return dict(loss_mask={})
        predicted = self._mask_forward(x, bbox2roi([result.pos_priors for result in sampling_results]))
        loss = self.mask_head.loss_and_target(
            mask_preds=predicted['mask_preds'],
            sampling_results=sampling_results,
            batch_gt_instances=batch_gt_instances,
            rcnn_train_cfg=self.train_cfg[0],
        )
        return dict(predicted, **loss)

    def _mask_forward(self, x: tuple[Tensor, ...], rois: Tensor) -> dict[str, Tensor]:
        return StandardRoIHead._mask_forward(self, x, rois)

    def predict_mask(
        self, x: tuple[Tensor, ...], batch_img_metas: list[dict], results_list: list, rescale: bool = False
    ) -> list:
        """Predict the masks of the last stage's boxes."""
        return StandardRoIHead.predict_mask(self, x, batch_img_metas, results_list, rescale)

    def _refine_roi(
        self, x: tuple[Tensor, ...], rois: Tensor, batch_img_metas: list[dict], num_proposals_per_img: tuple[int, ...]
    ) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Run all stages.

        Returns:
            For each image, the last stage's regions, the logarithm of the mean class probabilities, and the last
            stage's box offsets.
        """
        probabilities = rois.new_zeros(())
        for stage, head in enumerate(self.bbox_head):
            results = self._bbox_forward(stage, x, rois)
            probabilities = probabilities + results['cls_score'].softmax(1) / self.num_stages
            regions = rois.split(num_proposals_per_img)
            offsets = results['bbox_pred'].split(num_proposals_per_img)
            if stage < self.num_stages - 1:
                labels = results['cls_score'][:, :-1].argmax(1).split(num_proposals_per_img)
                refined = []
                for region, label, offset, meta in zip(regions, labels, offsets, batch_img_metas):
                    boxes = head.regress_by_class(region[:, 1:], label, offset, meta)
                    refined.append(torch.cat([region[:, :1], boxes], dim=1))
                rois = torch.cat(refined)
        # The head applies a softmax to these scores, which undoes the logarithm.
        return regions, probabilities.log().split(num_proposals_per_img), offsets
