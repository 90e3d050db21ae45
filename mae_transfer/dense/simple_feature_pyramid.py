"""A feature pyramid from the last map of a ViT."""

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
    """ViTDet's pyramid: every level from the ViT's last map, without a top-down path (arXiv 2203.16527, section 3).

    For each level, the last map is resized to its stride, followed by a 1 x 1 and a 3 x 3 convolution without bias,
    each with a LayerNorm over the channels.

    Args:
        embed_dim: channels D of the map; a multiple of 4.
        out_channels: channels of every level.
        num_outs: number of levels; those beyond four are made by subsampling the coarsest.
        init_cfg: of MMEngine's ``BaseModule``.

    Raises:
        UserError: fewer than four levels; ``embed_dim`` is not a multiple of 4.

    Shapes, for patches of 16 and images of H x W: one map (B, D, H/16, W/16) to maps (B, out_channels, ...) of strides
    4, 8, 16, 32 and 64.
    """

    def __init__(
        self, embed_dim: int, out_channels: int = 256, num_outs: int = 5, init_cfg: dict | None = None
    ) -> None:
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
        """Turn the map, in a tuple of one as backbones return it, into the levels; for the shapes see the class.

        Raises:
            UserError: not exactly one map, or not ``embed_dim`` channels.
        """
        check_maps(maps, 1, self.embed_dim, 'SimpleFeaturePyramid')
        # In float32, because MMDetection casts boxes to the type of the maps; see ViTFPN.
        levels = [level(maps[0]).float() for level in self.levels]
        while len(levels) < self.num_outs:
            levels.append(F.max_pool2d(levels[-1], 1, stride=2))
        return tuple(levels)
