"""The benchmark of saving, with a small model."""

from __future__ import annotations

import torch

from mae_transfer.benchmarks.saving_cost import build_mae, rounds_of
from mae_transfer.vit.weights.checkpoint import read_checkpoint


def test_each_way_is_measured_and_its_file_is_whole(tmp_path):
    model = build_mae('32x1x2')
    found = rounds_of(model, batch=1, steps=1, rounds=1, path=tmp_path / 'a.pth')
    assert set(found) == {'none', 'foreground', 'background'} and all(len(times) == 1 for times in found.values())
    stored = read_checkpoint(tmp_path / 'a.pth')
    assert len(stored['optimizer']['state']) == sum(1 for weight in model.parameters() if weight.requires_grad)
    # It was copied in the last step, before nothing more was trained.
    assert all(torch.equal(value, stored['model'][name]) for name, value in model.state_dict().items())
