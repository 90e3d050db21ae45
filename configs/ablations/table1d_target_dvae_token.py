"""MAE Table 1d: a dVAE's token for each patch as the target, by cross-entropy.

Recipe: configs/ablations/_baseline.py; what differs: the target.
The tokenizer is our own (configs/tokenizer_dvae.py, to be trained first), so that nothing is downloaded; the paper's is
DALL-E's: with its published encoder in a file, set model.target.tokenizer="{'type': 'DALLEEncoder', 'checkpoint':
'FILE'}". Known to reach: 85.3 top-1 after fine-tuning, 71.6 after linear probing (quoted: MAE Table 1d).
Cost: hours not published; 1.11 of the baseline's FLOPs (tools/measure_cost.py).
Command: tools/dist_train.sh configs/ablations/table1d_target_dvae_token.py 8
"""

_base_ = ['_baseline.py']

published = dict(table='Table 1d', axis='target', row='dVAE token', place=4, finetune=85.3, linear=71.6)

model = dict(target=dict(type='TokenTarget', tokenizer=dict(type='DVAE', checkpoint='work_dirs/tokenizer_dvae')))
