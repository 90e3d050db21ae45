"""MAE Table 1e: crops of random size with colour jitter.

Recipe: configs/ablations/_baseline.py; what differs: colour jitter.
Not published: its strength. Brightness, contrast, saturation and hue are those of MoCo v3, after BYOL; here every photo
is jittered, there four of five.
Known to reach: 84.3 top-1 after fine-tuning, 71.9 after linear probing (quoted: MAE Table 1e).
Cost: hours not published; 1.00 of the baseline's FLOPs (tools/measure_cost.py).
Command: tools/dist_train.sh configs/ablations/table1e_augmentation_color_jitter.py 8
"""

_base_ = ['_baseline.py']

published = dict(
    table='Table 1e', axis='augmentation', row='crop, random size, colour jitter', place=4, finetune=84.3, linear=71.9
)

train_dataloader = dict(dataset=dict(color_jitter=(0.4, 0.4, 0.2, 0.1)))
