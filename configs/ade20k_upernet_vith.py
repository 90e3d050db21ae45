"""UperNet with ViT-H/16 on ADE20K, 160k iterations at a batch of 16, crops of 512.

Recipe: none is published for ViT-H, neither by MAE nor by BEiT. Chosen here:
- patches of 16; the patch embedding of the pre-training, for patches of 14, is resampled on loading, as in ViTDet's
  ViT-H. The pyramid keeps its strides of 4 to 32, the crop has a whole number of patches (512 is not a multiple of 14),
  and 1024 tokens instead of 1369;
- maps after blocks 10, 15, 20 and 31, that is, after 1/3, 1/2, 2/3 and all of the blocks, as in B and L;
- heads as wide as the ViT, 1280 channels, as in B and L;
- learning rate 1e-4 as in B and L (ViTDet has the same one for all three); layer decay .85, which over 32 blocks leaves
  the embeddings about the same share of the learning rate as .65 over 12 leaves those of ViT-B (.0047 and .0037;
  ViTDet's .9 leaves .031);
- drop path .3, as in MAE's fine-tuning of ViT-H on ImageNet.
Reported: nothing. This recipe: not measured.
Cost: not measured. To save memory: model.backbone.grad_checkpoint=True.
Train: tools/dist_train.sh configs/ade20k_upernet_vith.py 8
Test: tools/dist_test.sh configs/ade20k_upernet_vith.py work_dirs/ade20k_upernet_vith 8
Six scales, mirrored: add --tta to the test.
"""

_base_ = ['ade20k_upernet_vitb.py']

pretrained = 'work_dirs/mae_pretrain_vith'
arch = 'huge'
model = dict(backbone=dict(patch_size=16, drop_path_rate=0.3))
optim_wrapper = dict(paramwise_cfg=dict(layer_decay=0.85))
