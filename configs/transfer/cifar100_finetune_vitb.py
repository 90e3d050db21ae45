"""Fine-tuning of ViT-B/16 on CIFAR-100, its images enlarged to 224.

Recipe: as on ImageNet-1k; MAE's paper has no number for CIFAR, and neither has this project.
Data: cifar-100-python/ in data_root, as published. CIFAR-10: data_root with cifar-10-batches-py/ and
model.num_classes=10. At a size of its own: model.vit.img_size=32 model.vit.patch_size=4, which resamples positions and
patch embedding. Command: tools/dist_train.sh configs/transfer/cifar100_finetune_vitb.py 8
"""

_base_ = ['../in1k_finetune_vitb.py']

data_root = 'data/cifar100/'
model = dict(num_classes=100)
train_dataloader = dict(dataset=dict(data_root=data_root))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = val_dataloader
