"""MAE Table 1d: the 96 largest principal components of a patch as the target.

Recipe: configs/ablations/_baseline.py with another target.
The components are computed from training photos before the first step, and saved with the model.
Reported: 84.6 top-1 after fine-tuning, 72.3 after linear probing (quoted: MAE Table 1d).
Cost: hours not published; 1.00 times the baseline's FLOPs (tools/measure_cost.py).
Train: tools/dist_train.sh configs/ablations/table1d_target_pca.py 8
"""

_base_ = ['_baseline.py']

published = dict(table='Table 1d', axis='target', row='PCA', place=3, finetune=84.6, linear=72.3)

model = dict(target=dict(type='PCATarget', components=96))
