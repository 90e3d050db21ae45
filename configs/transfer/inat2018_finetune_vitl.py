"""Fine-tuning of ViT-L/16 on iNaturalist 2018 (8142 species) at 224 pixels.

Recipe: MAE Table 6: as on ImageNet-1k, with an adjusted learning rate and number of epochs, which are not published.
Those of ImageNet-1k are used here.
Reported: 80.1 top-1; B 75.4, H 83.0, H at 448 pixels 86.8 (quoted: MAE Table 6).
Data: train2018.json, val2018.json and train_val2018/ in data_root. iNaturalist 2017 and 2019 likewise:
    --cfg-options data_root=data/inat2019 train_dataloader.dataset.ann_file=train2019.json
    val_dataloader.dataset.ann_file=val2019.json test_dataloader.dataset.ann_file=val2019.json model.num_classes=1010
Train: tools/dist_train.sh configs/transfer/inat2018_finetune_vitl.py 8
Test: tools/test.py configs/transfer/inat2018_finetune_vitl.py work_dirs/transfer/inat2018_finetune_vitl
"""

_base_ = ['../in1k_finetune_vitl.py']

data_root = 'data/inat2018'
model = dict(num_classes=8142)
train_dataloader = dict(dataset=dict(ann_file='train2018.json'))
val_dataloader = dict(dataset=dict(ann_file='val2018.json'))
test_dataloader = val_dataloader
