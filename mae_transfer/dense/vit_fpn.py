"""Four taps of a ViT as a feature pyramid."""

from __future__ import annotations

from mmengine.model import BaseModule
from torch import Tensor, nn

from ..errors import UserError
from ..registry import MODELS
from .scales import SCALES, check_maps, scale_module


@MODELS.register_module()
class ViTFPN(BaseModule):
    """Each tap to a stride of its own, then, for detection, a standard FPN (Li 2021, arXiv 2111.11429, section 2.2;
    BEiT).

    The earliest tap becomes the finest map.

    Args:
        embed_dim: channels D of the taps.
        out_channels: channels of the FPN's maps. None for no FPN: the rescaled taps as they are, which is what
            UperNet's head, a pyramid itself, stands on.
        num_outs: maps that the FPN gives; those beyond four by sub-sampling the coarsest. Four without FPN.
        scale_norm_cfg: norm inside the first scale module: GroupNorm (Li 2021; 32 groups by default), or SyncBN (BEiT,
            for UperNet).
        norm_cfg: norm after each of the FPN's convolutions; None for none.
        init_cfg: of MMEngine's ``BaseModule``.

    Shapes, for patches of 16 and images of H x W: four maps (B, D, H/16, W/16), in the order of the blocks, to maps of
    strides 4, 8, 16, 32 and 64, (B, out_channels, ...), or (B, D, ...) of strides 4 to 32 without FPN.
    """

    def __init__(
        self,
        embed_dim: int,
        out_channels: int | None = 256,
        num_outs: int = 5,
        scale_norm_cfg: dict | None = None,
        norm_cfg: dict | None = None,
        init_cfg: dict | None = None,
    ):
        super().__init__(init_cfg)
        # Here, because whoever only pre-trains needs no mmcv, and this file is imported with the registry.
        from mmcv.cnn import build_norm_layer

        self.embed_dim = embed_dim
        scale_norm_cfg = scale_norm_cfg or dict(type='GN', num_groups=32)
        self.scales = nn.ModuleList(
            scale_module(scale, embed_dim, lambda dim: build_norm_layer(scale_norm_cfg, dim)[1])[0] for scale in SCALES
        )
        self.fpn = None
        if out_channels is not None:
            if num_outs < len(SCALES):
                raise UserError(f'ViTFPN gives at least {len(SCALES)} maps; found num_outs={num_outs}')
            self.fpn = MODELS.build(
                dict(
                    type='mmdet.FPN',
                    in_channels=[embed_dim] * len(SCALES),
                    out_channels=out_channels,
                    num_outs=num_outs,
                    norm_cfg=norm_cfg,
                )
            )

    def forward(self, maps: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Taps to pyramid; shapes as in the class's docstring.

        Raises:
            UserError: not four maps, or not of ``embed_dim`` channels.
        """
        check_maps(maps, len(SCALES), self.embed_dim, 'ViTFPN')
        maps = tuple(scale(x) for scale, x in zip(self.scales, maps))
        if self.fpn is None:
            return maps
        # MMDetection casts boxes to the type of the maps before RoIAlign: in bfloat16 they would be up to 2 pixels off.
        return tuple(x.float() for x in self.fpn(maps))
