"""MAE Table 2: ViT-H, mask tokens in the encoder, a decoder of 8 blocks.

Recipe: configs/ablations/_baseline.py; what differs: ViT-H, 32 images at once on a GPU, the mask token stands before
the encoder.
Not published: whether pixels are normalised; 84.9 for ViT-L is Table 1's number without.
Known to reach: no number is published.
Cost: 119.6 hours on 128 TPU-v3 cores, estimated from ten epochs (quoted: MAE Table 2); 8.46 of the baseline's FLOPs
(tools/measure_cost.py).
Command: tools/dist_train.sh configs/ablations/table2_vith_mask_tokens_decoder_8.py 8
"""

_base_ = ['_baseline.py']

published = dict(
    table='Table 2', axis='encoder and decoder', row='ViT-H, [M] in the encoder, decoder of 8', place=4, hours=119.6
)

model = dict(vit=dict(arch='huge'), encoder_mask_tokens=True)
train_dataloader = dict(batch_size=32)
