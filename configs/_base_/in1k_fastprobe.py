"""A linear probe in minutes on ImageNet-1k: many learning rates and weight decays at once, the best by a held-out tenth
of train.

It differs from the paper's protocol (configs/_base_/in1k_linprobe.py) in that each train image is seen in one way only,
its centre; SGD stands in for LARS, with which a batch of 1024 needs no help.
"""

_base_ = './in1k_features.py'

test_cfg = dict(
    type='FastProbeLoop',
    lrs=(0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0),
    weight_decays=(0.0, 1e-4, 1e-3),
    epochs=50,
    batch_size=1024,
    held_out=0.1,
    dtype='bfloat16',
    train_dataloader={{_base_.train_images}},
)
