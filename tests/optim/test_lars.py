"""Steps of LARS with the settings of the linear probe's config, against those of the official code."""

import pytest
from mmengine.config import Config
from torch import nn

from mae_transfer.optim import LayerDecayOptimWrapperConstructor
from tests.official import GOLDEN, value
from tests.tools.commands import REPOSITORY


class GoldenModel(nn.Module):
    """The parameters in the golden file."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(value('lars.weight', (8, 4)))
        self.bias = nn.Parameter(value('lars.bias', (8,)))


@pytest.mark.parametrize('golden', GOLDEN['lars'], ids=lambda golden: f'weight decay {golden["weight_decay"]}')
def test_steps_equal_the_official_ones(golden):
    cfg = Config.fromfile(REPOSITORY / 'configs' / 'in1k_linprobe_vitb.py').optim_wrapper
    assert cfg.optimizer.momentum == golden['momentum'] and cfg.optimizer.trust_coeff == golden['trust_coefficient']
    cfg.optimizer.update(lr=golden['lr'], weight_decay=golden['weight_decay'])
    cfg.dtype, cfg.optimizer.type, cfg.type = 'float32', 'mae_transfer.Lars', 'mae_transfer.AutocastOptimWrapper'
    paramwise = cfg.pop('paramwise_cfg')
    cfg.pop('constructor')
    model = GoldenModel()
    wrapper = LayerDecayOptimWrapperConstructor(cfg, paramwise)(model)
    for step in range(golden['steps']):
        model.weight.grad = value(f'lars.weight.grad{step}', (8, 4))
        model.bias.grad = value(f'lars.bias.grad{step}', (8,))
        wrapper.step()
    assert model.weight[0].tolist() == pytest.approx(golden['weight_row0'], abs=1e-5)
    assert model.bias.tolist() == pytest.approx(golden['bias'], abs=1e-5)
