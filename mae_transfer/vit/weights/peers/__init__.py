"""The names of other projects' ViTs, one file for each family, in one table."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from . import beit, clip, deit, dinov2, dinov3, sam, timm
from .peer import Peer

__all__ = ['PEERS', 'Peer', 'find_peer']

#: layout -> its names. A file belongs to the first whose landmarks it has.
PEERS: dict[str, Peer] = {
    'hf_deit': deit.HF,
    'hf_beit': beit.HF,
    'hf_dinov2': dinov2.HF,
    'hf_dinov3': dinov3.HF,
    'hf_clip': clip.HF_CLIP,
    'hf_siglip': clip.HF_SIGLIP,
    'hf_sam': sam.HF,
    'openai_clip': clip.OPENAI,
    'sam': sam.OFFICIAL,
    'dinov3': dinov3.OFFICIAL,
    'timm_sam': timm.SAM,
    'timm_beit': timm.BEIT,
    'timm_eva': timm.EVA,
    'dinov2': dinov2.OFFICIAL,
}


def find_peer(state: Mapping[str, Tensor]) -> str | None:
    """The layout, one of :data:`PEERS`, that the names follow; None if they follow none of these."""
    return next((layout for layout, peer in PEERS.items() if peer.prefix_in(state) is not None), None)
