"""A linear probe on ImageNet-1k that takes minutes: many learning rates and weight decays are trained at once, and the
best is chosen on a held-out tenth of the training set.

Differences from the paper's protocol (configs/_base_/in1k_linprobe.py): the only view of a training image is its centre
crop, and SGD replaces LARS, which a batch of 1024 does not need.
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
)
