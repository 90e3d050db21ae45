"""The fast linear probe on 20 classes of Tiny ImageNet with the ViT of configs/small/mae_pretrain_tin20.py;
pretrained=none judges random weights.

Command: tools/test.py configs/small/fastprobe_tin20.py work_dirs/small/mae_pretrain_tin20 --cfg-options
data_root=../shared/data/tinyimagenet20
"""

_base_ = ['../_base_/in1k_fastprobe.py']

data_root = 'data/tinyimagenet20/'
pretrained = 'work_dirs/small/mae_pretrain_tin20'

model = dict(
    vit=dict(
        arch=dict(_delete_=True, embed_dim=128, depth=6, num_heads=4),
        img_size=64,
        patch_size=8,
        init_cfg=dict(checkpoint=pretrained),
    )
)
test_dataloader = dict(num_workers=0, dataset=dict(data_root=data_root))
test_cfg = dict(dtype='float32', train_dataloader=dict(num_workers=0, dataset=dict(data_root=data_root)))
