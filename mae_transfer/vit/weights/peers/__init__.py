"""The names of other projects' ViTs, one file for each family, in one table."""

from __future__ import annotations

from . import beit, clip, dinov2, dinov3, sam, timm
from .peer import Peer

__all__ = ['PEERS', 'Peer']

#: layout -> its names. A file belongs to the first whose landmarks it has.
PEERS: dict[str, Peer] = {
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
