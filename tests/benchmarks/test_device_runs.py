"""What runs promise, tried on the device that is there."""

from __future__ import annotations

import pytest
import torch

from mae_transfer.benchmarks import device_runs
from mae_transfer.benchmarks.device_runs import difference, skip_steps
from mae_transfer.optim import AutocastOptimWrapper


def run_of(weight: float, moment: float = 1.0) -> dict:
    return dict(state_dict=dict(a=torch.tensor([3.0, weight])), optimizer=dict(m=torch.tensor(moment)), message_hub=HUB)


HUB = dict(log_scalars={})


def test_runs_are_equal_only_bit_by_bit():
    assert difference(run_of(4.0), run_of(4.0)) == 0
    assert difference(run_of(4.0), run_of(4.5)) == pytest.approx(0.1)
    assert difference(run_of(4.0), run_of(4.0, moment=2.0)) == 1e-12


def test_steps_that_overflow_in_float16_are_left_out():
    name, text, as_promised = skip_steps()
    assert as_promised and int(text.split()[0]) > 0


def test_a_step_that_is_not_left_out_is_noticed(monkeypatch):
    def step(self, **kwargs):
        self.scaler.unscale_(self.optimizer)
        self.is_skipped = True
        self.optimizer.step()
        self.scaler.update()

    monkeypatch.setattr(AutocastOptimWrapper, 'step', step)
    assert not skip_steps()[2]


@pytest.mark.parametrize('apart, promised', [((0, 0, 0), True), ((0, 0, 1e-9), False), ((1e-6, 0, 0), False)])
def test_runs_that_differ_are_not_as_promised(apart, promised, monkeypatch, tmp_path):
    class Runs:
        def __init__(self, folder):
            self.folder = folder
            (folder / 'whole').mkdir()
            (folder / 'whole' / 'iter_9.pth').touch()

        def train(self, name, *options, **how):
            (self.folder / f'{name}.txt').write_text('resumed epoch: 1')
            return dict(whole=0, repeated=apart[0], resumed=apart[1], launched=apart[2])[name]

    monkeypatch.setattr(device_runs, 'Runs', Runs)
    monkeypatch.setattr(device_runs, 'difference', lambda one, other: float(other))
    monkeypatch.setattr(device_runs, 'get_device', lambda: 'cpu')
    found = device_runs.compare_runs(tmp_path)
    assert [name for name, *_ in found] == ['repeated', 'resumed', 'launched']
    assert all(ok for *_, ok in found) is promised


@pytest.mark.slow
def test_all_is_as_promised_here(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr('sys.argv', ['device_runs', '--work-dir', str(tmp_path / 'runs')])
    device_runs.main()
    assert capsys.readouterr().out.count('| as promised |') == 5
