"""Fine-tuning of ViT-L/16 on Places365 at 224 pixels.

Recipe: MAE Table 6: as on ImageNet-1k, with an adjusted learning rate and number of epochs, which are not published.
Those of ImageNet-1k are used here.
Reported: 59.4 top-1; B 57.9, H 59.8, H at 448 pixels 60.3 (quoted: MAE Table 6).
Data: places365_train_standard.txt, places365_val.txt, categories_places365.txt, data_large/ and val_large/ in
data_root.
Train: tools/dist_train.sh configs/transfer/places365_finetune_vitl.py 8
Test: tools/test.py configs/transfer/places365_finetune_vitl.py work_dirs/transfer/places365_finetune_vitl
"""

_base_ = ['../in1k_finetune_vitl.py']

data_root = 'data/places365'
classes = '${join(data_root, "categories_places365.txt")}'
model = dict(num_classes=365)
train_dataloader = dict(dataset=dict(ann_file='places365_train_standard.txt', data_prefix='data_large'))
val_dataloader = dict(dataset=dict(ann_file='places365_val.txt', data_prefix='val_large'))
test_dataloader = val_dataloader
