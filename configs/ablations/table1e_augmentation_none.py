"""MAE Table 1e: no augmentation: the centre crop of each photo.

Recipe: configs/ablations/_baseline.py with centre crops, never mirrored.
Reported: 84.0 top-1 after fine-tuning, 65.7 after linear probing (quoted: MAE Table 1e).
Cost: hours not published; 1.00 times the baseline's FLOPs (tools/measure_cost.py).
Train: tools/dist_train.sh configs/ablations/table1e_augmentation_none.py 8
"""

_base_ = ['_baseline.py']

published = dict(table='Table 1e', axis='augmentation', row='none', place=1, finetune=84.0, linear=65.7)

train_dataloader = dict(dataset=dict(augment='none'))
