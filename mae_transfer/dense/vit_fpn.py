"""A feature pyramid from four maps of a ViT."""

from __future__ import annotations

from mmengine.model import BaseModule
from torch import Tensor, nn

from ..errors import UserError
from ..registry import MODELS
from .scales import SCALES, check_maps, scale_module


@MODELS.register_module()
class ViTFPN(BaseModule):
    """Maps of four blocks, each resized to its own stride; for detection, followed by a standard FPN.

    The earliest block gives the finest map. Sources: Li 2021 (arXiv 2111.11429), section 2.2; BEiT.

    Args:
        embed_dim: channels D of the maps.
        out_channels: channels of the FPN's maps. None for no FPN, for heads that contain their own, such as UperNet's.
        num_outs: number of the FPN's maps; those beyond four are made by subsampling the coarsest. Without FPN there
            are four maps.
        scale_norm_cfg: norm inside the first scale module: GroupNorm (Li 2021; 32 groups by default), or SyncBN (BEiT,
            for UperNet).
        norm_cfg: norm after each of the FPN's convolutions; None for none.
        init_cfg: of MMEngine's ``BaseModule``.

    Raises:
        UserError: an FPN with fewer than four maps.

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
    ) -> None:
        super().__init__(init_cfg)
        # Imported here, because this module is imported with the registry, and pre-training does not need mmcv.
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
        """Turn the maps of four blocks into the pyramid; for the shapes see the class.

        Raises:
            UserError: not exactly four maps, or not ``embed_dim`` channels.
        """
        check_maps(maps, len(SCALES), self.embed_dim, 'ViTFPN')
        maps = tuple(scale(x) for scale, x in zip(self.scales, maps))
        if self.fpn is None:
            return maps
        # In float32, because MMDetection casts boxes to the type of the maps before RoIAlign: in bfloat16 they would be
        # up to 2 pixels off.
        return tuple(x.float() for x in self.fpn(maps))
