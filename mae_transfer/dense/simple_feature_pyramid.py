"""The last map of a ViT as a feature pyramid."""

from __future__ import annotations

import torch.nn.functional as F
from mmengine.model import BaseModule
from timm.layers import LayerNorm2d
from torch import Tensor, nn

from ..errors import UserError
from ..registry import MODELS
from .scales import SCALES, check_maps, scale_module


@MODELS.register_module()
class SimpleFeaturePyramid(BaseModule):
    """Every level from the ViT's last map, without top-down path (ViTDet, arXiv 2203.16527, section 3).

    Each level: the last map brought to its stride, then a 1 x 1 and a 3 x 3 convolution without bias, each followed by
    a LayerNorm over the channels.

    Args:
        embed_dim: channels D of the map; a multiple of 4.
        out_channels: channels of every level.
        num_outs: levels; those beyond four by sub-sampling the coarsest.
        init_cfg: of MMEngine's ``BaseModule``.

    Shapes, for patches of 16 and images of H x W: one map (B, D, H/16, W/16) to maps (B, out_channels, ...) of strides
    4, 8, 16, 32 and 64.
    """

    def __init__(self, embed_dim: int, out_channels: int = 256, num_outs: int = 5, init_cfg: dict | None = None):
        super().__init__(init_cfg)
        if num_outs < len(SCALES):
            raise UserError(f'SimpleFeaturePyramid gives at least {len(SCALES)} maps; found num_outs={num_outs}')
        if embed_dim % 4:
            raise UserError(f'SimpleFeaturePyramid halves embed_dim twice: give a multiple of 4; found {embed_dim}')
        self.embed_dim, self.num_outs = embed_dim, num_outs
        self.levels = nn.ModuleList()
        for scale in SCALES:
            rescale, dim = scale_module(scale, embed_dim, LayerNorm2d, halve=True)
            self.levels.append(
                nn.Sequential(
                    rescale,
                    nn.Conv2d(dim, out_channels, 1, bias=False),
                    LayerNorm2d(out_channels),
                    nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
                    LayerNorm2d(out_channels),
                )
            )

    def forward(self, maps: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """The one map, in a tuple as backbones give it, to the levels; shapes as in the class's docstring.

        Raises:
            UserError: more or fewer than one map, or not of ``embed_dim`` channels.
        """
        check_maps(maps, 1, self.embed_dim, 'SimpleFeaturePyramid')
        # In float32, because MMDetection casts boxes to the type of the maps (see ViTFPN).
        levels = [level(maps[0]).float() for level in self.levels]
        while len(levels) < self.num_outs:
            levels.append(F.max_pool2d(levels[-1], 1, stride=2))
        return tuple(levels)
