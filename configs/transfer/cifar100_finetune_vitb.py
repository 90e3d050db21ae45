"""Fine-tuning of ViT-B/16 on CIFAR-100, with images enlarged to 224 pixels.

Recipe: as on ImageNet-1k. Reported: nothing, neither by MAE's paper nor by this project.
Data: cifar-100-python/ in data_root, as published. For CIFAR-10: cifar-10-batches-py/ in data_root, and
model.num_classes=10. For images of 32 pixels: image_size=32 model.vit.patch_size=4, which resamples positions and patch
embedding.
Train: tools/dist_train.sh configs/transfer/cifar100_finetune_vitb.py 8
Test: tools/test.py configs/transfer/cifar100_finetune_vitb.py work_dirs/transfer/cifar100_finetune_vitb
"""

_base_ = ['../in1k_finetune_vitb.py']

data_root = 'data/cifar100'
model = dict(num_classes=100)
