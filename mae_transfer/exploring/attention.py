"""What a patch attends to in a block of a ViT."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import UserError
from ..vit import ViT


@torch.no_grad()
def attention_from(vit: ViT, image: Tensor, patch: int, block: int = -1) -> Tensor:
    """The shares of attention that one patch gives to all tokens, for each head of a block.

    They are computed by the block's own attention from its own queries and keys, with whatever positions it has: of
    values that are one-hot, a token gets exactly its shares. As many columns are taken at once as a head is wide.

    Args:
        vit: in evaluation mode, on the device of the image.
        image: (1, C, H, W), normalised; H and W are multiples of the patch size.
        patch: number of the patch, row by row.
        block: number of the block, negative from the end.

    Returns:
        (heads, special + N) float32 on the CPU, each row with the sum 1: class token and registers first, if there are
        any (``vit.num_special`` of them), then the N patches.

    Raises:
        UserError: a block that attends within windows.
    """
    if vit.window_sizes[block]:
        raise UserError(
            f'block {block} of {vit.depth} attends within windows of {vit.window_sizes[block]} x '
            f'{vit.window_sizes[block]} patches: attention over the whole image is that of blocks {vit.global_blocks}'
        )
    seen = list[Any]()
    attention: Any = vit.blocks[block].attn
    handle = attention.register_forward_pre_hook(lambda module, inputs: seen.append(inputs))
    try:
        vit.tokens(image)
    finally:
        handle.remove()
    tokens, places = seen[0][:2]
    queries, keys, _ = attention.split(F.linear(tokens, attention.qkv.weight, attention.bias), places)
    count, width = queries.shape[2:]
    one_hot = torch.eye(count, device=image.device, dtype=queries.dtype)
    shares = []
    for start in range(0, count, width):
        columns = F.pad(one_hot[:, start : start + width], (0, max(0, start + width - count)))
        values = columns.expand(1, len(queries[0]), -1, -1)
        shares.append(attention.attend(queries, keys, values, places.grid, places.table)[0, :, vit.num_special + patch])
    return torch.cat(shares, dim=1)[:, :count].float().cpu()
