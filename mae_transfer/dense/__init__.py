"""Feature pyramids (from the ViT's stride 16 to strides 4, 8, 16, 32) and heads for MMDetection and MMSegmentation."""

from timm.layers import LayerNorm2d

from ..registry import MODELS
from .simple_feature_pyramid import SimpleFeaturePyramid
from .vit_fpn import ViTFPN

# A norm for heads, over the channels at each position: norm_cfg=dict(type='mae_transfer.LayerNorm2d', eps=1e-6).
# Without eps, mmcv passes 1e-5.
MODELS.register_module(module=LayerNorm2d)

__all__ = ['LayerNorm2d', 'SimpleFeaturePyramid', 'ViTFPN']
