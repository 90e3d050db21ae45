"""MAE Table 1e: crops of one size, mirrored at random.

Recipe: configs/ablations/_baseline.py; what differs: the crop: random in place, not in size.
Known to reach: 84.7 top-1 after fine-tuning, 73.1 after linear probing (quoted: MAE Table 1e).
Cost: hours not published; 1.00 of the baseline's FLOPs (tools/measure_cost.py).
Command: tools/dist_train.sh configs/ablations/table1e_augmentation_fixed_size.py 8
"""

_base_ = ['_baseline.py']

published = dict(table='Table 1e', axis='augmentation', row='crop, fixed size', place=2, finetune=84.7, linear=73.1)

train_dataloader = dict(dataset=dict(augment='fixed_size'))
