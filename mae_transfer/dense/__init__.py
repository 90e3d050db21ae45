"""Pyramids that MMDetection's and MMSegmentation's heads can stand on: maps of stride 16 to strides 4, 8, 16, 32."""
from .simple_feature_pyramid import SimpleFeaturePyramid
from .vit_fpn import ViTFPN

__all__ = ['SimpleFeaturePyramid', 'ViTFPN']
