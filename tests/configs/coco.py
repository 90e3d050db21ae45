"""The COCO configs by name, and their box heads."""

from __future__ import annotations

from mmengine.config import Config

MASKRCNN = ['coco_maskrcnn_vitb', 'coco_maskrcnn_vitl']
VITDET = ['coco_vitdet_vitb', 'coco_vitdet_vitl', 'coco_vitdet_vith']
CASCADE = ['coco_vitdet_cascade_vitb', 'coco_vitdet_cascade_vitl', 'coco_vitdet_cascade_vith']
COCO = MASKRCNN + VITDET + CASCADE
KINDS = [MASKRCNN[0], VITDET[0], CASCADE[0]]


def heads_of(cfg: Config) -> list[dict]:
    """The config's box heads: one, or those of a cascade."""
    heads = cfg.model.roi_head.bbox_head
    return list(heads) if isinstance(heads, (list, tuple)) else [heads]
