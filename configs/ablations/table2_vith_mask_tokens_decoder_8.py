"""MAE Table 2: ViT-H with mask tokens in the encoder and a decoder of 8 blocks.

Recipe: configs/ablations/_baseline.py with ViT-H, 32 images at once on a GPU, and the mask tokens added before the
encoder instead of the decoder.
Whether pixels are normalised is not published; the 84.9 of ViT-L is Table 1's number for pixels that are not.
Reported: no accuracy is published.
Cost: 119.6 hours on 128 TPU-v3 cores, estimated from ten epochs (quoted: MAE Table 2); 8.46 times the baseline's FLOPs
(tools/measure_cost.py).
Train: tools/dist_train.sh configs/ablations/table2_vith_mask_tokens_decoder_8.py 8
"""

_base_ = ['_baseline.py']

published = dict(
    table='Table 2', axis='encoder and decoder', row='ViT-H, [M] in the encoder, decoder of 8', place=4, hours=119.6
)

arch = 'huge'
model = dict(encoder_mask_tokens=True)
train_dataloader = dict(batch_size=32)
