"""BEiT pre-training of ViT-B/16 on ImageNet-1k, 800 epochs.

Recipe: official README.md (the command for ImageNet-1k, on 16 V100); BEiT, section 3.
Reported: 83.2 top-1 after fine-tuning (quoted: BEiT, abstract; MAE Table 3); 49.8 box AP on COCO and 47.1 mIoU on
ADE20K (quoted: MAE Tables 4, 5).
It needs DALL-E's encoder.pkl: --cfg-options tokenizer=FILE.
Train: tools/dist_train.sh configs/beit_pretrain_vitb.py 8
Own photos: add --cfg-options data_root=path/to/photos
Test (loss of the masked tokens): tools/test.py configs/beit_pretrain_vitb.py work_dirs/beit_pretrain_vitb
To use it, add to a config of a task:
    pretrained=work_dirs/beit_pretrain_vitb init=beit_in1k
"""

_base_ = ['_base_/beit_pretrain.py']
