"""How several processes share a training: DDP, whose gradients are views of the buckets that they are averaged in.

Views give the same numbers as copies, and need less memory by the size of the gradients.

Named settings:
- `find_unused_parameters`: whether some parameters take no part in some steps.
"""

find_unused_parameters = False
model_wrapper_cfg = dict(
    type='MMDistributedDataParallel',
    broadcast_buffers=False,
    find_unused_parameters='${find_unused_parameters}',
    gradient_as_bucket_view=True,
)
