"""What processes do that train with gradients as copies, and as views of buckets: see test_distributed.py."""

from __future__ import annotations

import contextlib
import os
import sys

import torch
from mmengine.registry import init_default_scope
from torch import distributed
from torch.nn.parallel import DistributedDataParallel

from mae_transfer.compat.distributed import average_in_order
from mae_transfer.registry import MODELS
from tests.helpers import enlarge


def trained(rank: int, accumulated: int, **settings: bool) -> list[torch.Tensor]:
    """The gradients of four steps, of which the second has other buckets than the first, and the weights at the end."""
    parts = dict(
        vit=dict(type='ViT', arch='32x2x2', img_size=16, patch_size=4),
        masking=dict(type='RandomMasking', ratio=0.75),
        decoder=dict(type='MAEDecoder', embed_dim=16, depth=1, num_heads=2),
        target=dict(type='NormalizedPixelTarget'),
    )
    model = DistributedDataParallel(enlarge(MODELS.build(dict(type='MAE', **parts))), bucket_cap_mb=0.02, **settings)
    average_in_order(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    found = []
    for step in range(4):
        for part in range(accumulated):
            random = torch.Generator().manual_seed(100 * step + 10 * part + rank)
            images, noise = (torch.rand(*shape, generator=random) for shape in ((4, 3, 16, 16), (4, 16)))
            with contextlib.nullcontext() if part == accumulated - 1 else model.no_sync():
                loss = model(images, noise=noise)['loss']
            loss.backward()  # outside, as MMEngine's wrapper of the optimiser does it
        found += [parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None]
        optimizer.step()
        optimizer.zero_grad()
    return [*found, *(parameter.detach() for parameter in model.parameters())]


if __name__ == '__main__':
    distributed.init_process_group('gloo')
    init_default_scope('mae_transfer')
    own_rank, same = distributed.get_rank(), {}
    for count in (1, 3):
        copies, views = (trained(own_rank, count, gradient_as_bucket_view=as_view) for as_view in (False, True))
        same[count] = len(copies) == len(views) > 100 and all(map(torch.equal, copies, views))
    torch.save(same, f'{sys.argv[1]}/{own_rank}.pt')
    os._exit(0)  # threads of gloo outlive their group: see mae_transfer.compat.distributed.end_process
