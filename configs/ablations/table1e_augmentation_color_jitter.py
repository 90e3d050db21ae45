"""MAE Table 1e: crops of random size with colour jitter.

Recipe: configs/ablations/_baseline.py with colour jitter.
Its strength is not published: brightness, contrast, saturation and hue are those of MoCo v3, which follows BYOL. Every
photo is jittered here; four of five are there.
Reported: 84.3 top-1 after fine-tuning, 71.9 after linear probing (quoted: MAE Table 1e).
Cost: hours not published; 1.00 times the baseline's FLOPs (tools/measure_cost.py).
Train: tools/dist_train.sh configs/ablations/table1e_augmentation_color_jitter.py 8
"""

_base_ = ['_baseline.py']

published = dict(
    table='Table 1e', axis='augmentation', row='crop, random size, colour jitter', place=4, finetune=84.3, linear=71.9
)

train_dataloader = dict(dataset=dict(color_jitter=(0.4, 0.4, 0.2, 0.1)))
