"""The baseline of MAE Table 1, Fig. 5, Fig. 7 and Table 2, which their rows vary: ViT-L, 800 epochs, plain pixels.

Recipe: MAE Table 8, as in configs/mae_pretrain_vitl.py, but with 800 epochs, and with pixels that are not normalised by
patch (the defaults of Table 1; the figures and Table 2 have the same numbers).
Reported: 84.9 top-1 after fine-tuning, 73.5 after linear probing (quoted: MAE Table 1).
Cost: 15.4 hours on 128 TPU-v3 cores (quoted: MAE Table 2); about 42 hours on 64 V100 (quoted: PRETRAIN.md, with
normalised pixels).
Train: tools/dist_train.sh configs/ablations/table1a_decoder_depth_8.py 8
Evaluate a row's ViT by configs/in1k_finetune_vitl.py and configs/in1k_linprobe_vitl.py (ViT-H: ..._vith.py) with
--cfg-options pretrained=work_dirs/ablations/ROW.

The config of each row has `published`: its `table`, the `axis` that the table varies, the `row`'s value on that axis
(and its `place` in the table where the value is not a number), and the paper's numbers: top-1 in per cent after
`finetune` and `linear` probing, `hours` of pre-training. tools/ablate.py runs rows, scaled down to what the machine can
run, and writes its results next to these numbers.
"""

_base_ = ['../mae_pretrain_vitl.py']

max_epochs = 800
model = dict(target=dict(type='PixelTarget'))
