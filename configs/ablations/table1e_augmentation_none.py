"""MAE Table 1e: no augmentation, the centre of each photo.

Recipe: configs/ablations/_baseline.py; what differs: the crop: the centre, never mirrored.
Known to reach: 84.0 top-1 after fine-tuning, 65.7 after linear probing (quoted: MAE Table 1e).
Cost: hours not published; 1.00 of the baseline's FLOPs (tools/measure_cost.py).
Command: tools/dist_train.sh configs/ablations/table1e_augmentation_none.py 8
"""

_base_ = ['_baseline.py']

published = dict(table='Table 1e', axis='augmentation', row='none', place=1, finetune=84.0, linear=65.7)

train_dataloader = dict(dataset=dict(augment='none'))
