"""UperNet with ViT-H/16 on ADE20K, 160k iterations at a batch of 16, crops of 512.

Recipe: none is published for ViT-H, neither by MAE nor by BEiT. Chosen here:
- patches of 16, the pre-training's embedding of 14 resampled on loading, as ViTDet does for its ViT-H: the pyramid
keeps its
  strides of 4 to 32, the crop its whole number of patches (512 is no multiple of 14), and a crop has 1024 tokens, not
  1369;
- taps after blocks 10, 15, 20 and 31: after 1/3, 1/2, 2/3 and all of the blocks, as in B and L;
- heads as wide as the ViT, 1280 channels, as in B and L;
- lr 1e-4 as B and L (ViTDet has one lr for all three), layer decay .85, which over 32 blocks leaves the embeddings
about the
  share of lr that .65 over 12 leaves ViT-B's (.0047 and .0037; ViTDet's .9 leaves .031);
- drop path .3, as in MAE's fine-tuning of ViT-H on ImageNet.
Known to reach: nothing is published; this recipe: not measured.
Cost: not measured. Where memory is short: model.backbone.grad_checkpoint=True.
Command: tools/dist_train.sh configs/ade20k_upernet_vith.py 8
Test: tools/dist_test.sh configs/ade20k_upernet_vith.py work_dirs/ade20k_upernet_vith 8; six scales, mirrored: ... --tta
"""

_base_ = ['ade20k_upernet_vitb.py']

pretrained = 'work_dirs/mae_pretrain_vith'
model = dict(
    backbone=dict(
        arch='huge',
        patch_size=16,
        out_indices=(10, 15, 20, 31),
        drop_path_rate=0.3,
        init_cfg=dict(checkpoint=pretrained),
    ),
    neck=dict(embed_dim=1280),
    decode_head=dict(in_channels=[1280, 1280, 1280, 1280], channels=1280),
    auxiliary_head=dict(in_channels=1280),
)
optim_wrapper = dict(paramwise_cfg=dict(layer_decay=0.85))
