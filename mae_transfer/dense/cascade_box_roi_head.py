"""Cascaded box heads, one mask head: the RoI heads of ViTDet's Cascade Mask R-CNN."""

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
    """MMDetection's ``CascadeRoIHead``, where ViTDet's numbers need it otherwise (detectron2, ``CascadeROIHeads``):

    - one mask head, trained on the regions of the first stage, instead of one for each stage, averaged;
    - box features hand back ``1 / num_stages`` of their gradient, so that three heads weigh on the pyramid as one
    would; - the boxes of the truth that stand among the first stage's regions are kept for the later ones;
    - the classes' probabilities are averaged over the stages, not their logits;
    - boxes are worked out in float32 whatever the autocast type.

    With ``stage_loss_weights=[1, 1, 1]`` and, from the second stage on, a ``PseudoSampler`` (every region is trained
    on), training is the original's.

    Args:
        mask_roi_extractor: one extractor, not None: masks have regions of their own size.
        mask_head: one head.
        **kwargs: as ``CascadeRoIHead``: ``num_stages``, ``stage_loss_weights``, ``bbox_roi_extractor``, ``bbox_head``,
            ``train_cfg`` (one for each stage), ``test_cfg``.

    Raises:
        UserError: a list of mask heads.
    """

    def init_mask_head(self, mask_roi_extractor: dict, mask_head: dict) -> None:
        """Build the one mask head and its extractor."""
        if (
            isinstance(mask_head, (list, tuple))
            or isinstance(mask_roi_extractor, (list, tuple))
            or mask_roi_extractor is None
        ):
            raise UserError(
                'CascadeBoxRoIHead has one mask_head and one mask_roi_extractor; for a mask head in each stage take '
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
            result.pos_is_gt = torch.zeros_like(result.pos_is_gt)  # MMDetection drops those of the truth between stages
        return super().bbox_loss(stage, x, sampling_results)

    def mask_loss(
        self, stage: int, x: tuple[Tensor, ...], sampling_results: list[SamplingResult], batch_gt_instances: list
    ) -> dict:
        """Loss of the mask head on the first stage's objects, and none in the later stages."""
        if stage:
            return dict(loss_mask={})
        predicted = self._mask_forward(x, bbox2roi([result.pos_priors for result in sampling_results]))
        return dict(
            predicted,
            **self.mask_head.loss_and_target(
                mask_preds=predicted['mask_preds'],
                sampling_results=sampling_results,
                batch_gt_instances=batch_gt_instances,
                rcnn_train_cfg=self.train_cfg[0],
            ),
        )

    def _mask_forward(self, x: tuple[Tensor, ...], rois: Tensor) -> dict[str, Tensor]:
        return StandardRoIHead._mask_forward(self, x, rois)

    def predict_mask(
        self, x: tuple[Tensor, ...], batch_img_metas: list[dict], results_list: list, rescale: bool = False
    ) -> list:
        """Masks of the last stage's boxes, by the one mask head."""
        return StandardRoIHead.predict_mask(self, x, batch_img_metas, results_list, rescale)

    def _refine_roi(
        self, x: tuple[Tensor, ...], rois: Tensor, batch_img_metas: list[dict], num_proposals_per_img: tuple[int, ...]
    ) -> tuple[tuple[Tensor, ...], ...]:
        """Through all stages: regions of the last, the logarithm of the mean probabilities, and what the last adds, by
        image."""
        probabilities = 0.0
        for stage, head in enumerate(self.bbox_head):
            results = self._bbox_forward(stage, x, rois)
            probabilities = probabilities + results['cls_score'].softmax(1) / self.num_stages
            boxes = results['bbox_pred'].split(num_proposals_per_img)
            rois = rois.split(num_proposals_per_img)
            if stage < self.num_stages - 1:
                labels = results['cls_score'][:, :-1].argmax(1).split(num_proposals_per_img)
                rois = torch.cat(
                    [
                        torch.cat([regions[:, :1], head.regress_by_class(regions[:, 1:], label, box, meta)], dim=1)
                        for regions, label, box, meta in zip(rois, labels, boxes, batch_img_metas)
                    ]
                )
        # The head takes the softmax of what it is given, which undoes the logarithm.
        return rois, probabilities.log().split(num_proposals_per_img), boxes
