"""MAE pre-training of ViT-H/14 on ImageNet-1k, divided among the GPUs: FSDP2, bfloat16 and activation checkpointing.

The recipe, and the checkpoints, are those of mae_pretrain_vith.py. Each GPU holds its share of weights, gradients and
moments; each block is gathered in bfloat16 when it is computed, and the encoder's blocks are computed again in the
backward pass. Larger batches then fit: raise `train_dataloader.batch_size`, the accumulation follows.
Documented in docs/many_gpus.md; not run on a GPU yet.
Train: tools/dist_train.sh configs/mae_pretrain_vith_fsdp.py 8
Test (reconstruction loss): tools/test.py configs/mae_pretrain_vith_fsdp.py work_dirs/mae_pretrain_vith_fsdp
"""

_base_ = ['mae_pretrain_vith.py']

model = dict(vit=dict(grad_checkpoint=True))
model_wrapper_cfg = dict(_delete_=True, type='mae_transfer.FullyShardedModel', param_dtype='${optim_wrapper.dtype}')
