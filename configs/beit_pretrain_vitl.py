"""BEiT pre-training of ViT-L/16 on ImageNet-1k, 800 epochs.

Recipe: that of ViT-B; official README.md: a layer scale of 1e-5 for ViT-L. The official code has no command for ViT-L.
Reported: 85.2 top-1 after fine-tuning (quoted: MAE Table 3); 53.3 box AP on COCO and 53.3 mIoU on ADE20K (quoted: MAE
Tables 4, 5).
It needs DALL-E's encoder.pkl: --cfg-options tokenizer=FILE.
Train: tools/dist_train.sh configs/beit_pretrain_vitl.py 8
Own photos: add --cfg-options data_root=path/to/photos
Test (loss of the masked tokens): tools/test.py configs/beit_pretrain_vitl.py work_dirs/beit_pretrain_vitl
To use it, add to a config of a task:
    pretrained=work_dirs/beit_pretrain_vitl init=beit_in1k
"""

_base_ = ['_base_/beit_pretrain.py']

arch = 'large'
layer_scale = 1e-5
