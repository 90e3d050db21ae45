"""inference/run_config.py: the config of a run, from its checkpoint."""

from __future__ import annotations

import pytest

from mae_transfer.errors import UserError
from mae_transfer.inference.run_config import config_of_run

INSIDE = dict(meta=dict(cfg="model = dict(type='MAE', size=(1, 2))\nlr = 0.5\n"))


def test_the_config_inside_comes_before_the_one_beside(tmp_path):
    checkpoint = tmp_path / 'epoch_3.pth'
    cfg = config_of_run(checkpoint, INSIDE)
    assert (cfg.lr, cfg.model['size'], cfg.filename) == (0.5, (1, 2), None)
    (tmp_path / 'a.py').write_text("model = dict(type='MAE')\nlr = 0.1\n")
    cfg = config_of_run(checkpoint, INSIDE)
    assert (cfg.lr, cfg.filename) == (0.5, str(tmp_path / 'a.py'))
    assert config_of_run(checkpoint, {}).lr == 0.1


@pytest.mark.parametrize(
    'text', ["model = dict(type=__import__('os'))", 'model = dict(type="MAE"', 'model = [x for x in (1,)]']
)
def test_a_config_inside_is_never_run(text, tmp_path):
    with pytest.raises(UserError, match='holds weights without the config of a run'):
        config_of_run(tmp_path / 'a.pth', dict(meta=dict(cfg=text)))


def test_what_is_no_run_is_told(tmp_path):
    with pytest.raises(UserError, match='its config is of no run, as it has no model'):
        config_of_run(tmp_path / 'a.pth', dict(meta=dict(cfg='lr = 1\n')))
    for name in 'ab':
        (tmp_path / f'{name}.py').write_text('model = {}\n')
    with pytest.raises(UserError, match=r'there are 2 beside it \(a\.py, b\.py\): leave the one'):
        config_of_run(tmp_path / 'a.pth', {})
