"""Variables of a config that options change before anything is worked out from them."""

from pathlib import Path

import pytest
from mmengine.config import Config

from mae_transfer.errors import UserError
from mae_transfer.options import read_config

SMALL = Path(__file__).parents[1] / 'configs' / 'small'
BASE = """
side = 8
strides = (1,
           2)  # two lines
norm = dict(type='BN')
data_root = 'data/'
model = dict(size=side, norm=norm, strides=strides, depth=2)
test = dict(area=side * side, folder=data_root + 'val')
"""
CONFIG = """
_base_ = ['../base.py']
side = 16
max_epochs = 3
model = dict(size=side, head=dict(size=_base_.side))
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
"""


@pytest.fixture
def config(tmp_path):
    (tmp_path / 'sub').mkdir()
    (tmp_path / 'base.py').write_text(BASE)
    (tmp_path / 'sub' / 'config.py').write_text(CONFIG)
    return tmp_path / 'sub' / 'config.py'


def test_without_options_it_is_the_file(config):
    assert read_config(config, []).to_dict() == Config.fromfile(config).to_dict()


def test_what_is_worked_out_from_a_variable_follows_it(config):
    cfg = read_config(config, ['max_epochs=10'])
    assert cfg.train_cfg == dict(max_epochs=10, val_interval=10) and cfg.max_epochs == 10
    assert cfg.model.size == 16 and cfg.filename == str(config)


def test_a_variable_is_changed_in_the_bases_too(config):
    cfg = read_config(config, ['side=4'])
    assert (cfg.model.size, cfg.model.head.size, cfg.test.area) == (4, 4, 16)


@pytest.mark.parametrize(
    'option, found', [('strides=(4,8)', (4, 8)), ('strides=[4,8]', [4, 8]), ('strides=4,8', [4, 8])]
)
def test_a_value_of_several_lines_is_replaced_whole(config, option, found):
    assert read_config(config, [option]).model.strides == found


def test_a_dictionary_and_the_settings_below_it(config):
    cfg = read_config(
        config, ['model.depth=5', "norm={'type': 'LN', 'eps': 1e-6}", 'norm.type=GN', 'side=2', 'model.depth=6']
    )
    assert cfg.model.norm == dict(type='LN', eps=1e-6)  # below a variable only the variable is set
    assert (cfg.norm.type, cfg.model.depth, cfg.model.size) == ('GN', 6, 2)


def test_a_string_is_changed_in_every_path_that_begins_with_it(config):
    assert read_config(config, ['data_root=elsewhere', 'side=2']).test == dict(area=4, folder='elsewhere/val')


def test_what_the_runner_reads_is_a_setting_and_no_variable(config):
    assert read_config(config, ["train_cfg={'max_epochs': 7}"]).train_cfg == dict(max_epochs=7)


def test_a_name_that_is_not_there_is_refused(config):
    with pytest.raises(UserError, match="no 'max_epoch'; did you mean 'max_epochs'"):
        read_config(config, ['max_epoch=7'])


@pytest.mark.parametrize('options', [['max_epochs=5'], ['image_size=(128,128)']])
def test_the_real_configs_follow_their_variables(options):
    cfg = read_config(SMALL / 'coco_maskrcnn.py', options)
    if options == ['max_epochs=5']:
        assert cfg.train_cfg.max_epochs == cfg.param_scheduler[0].end == cfg.default_hooks.checkpoint.interval == 5
    else:
        resize = [
            step['scale']
            for loader in (cfg.train_dataloader, cfg.test_dataloader)
            for step in loader.dataset.pipeline
            if step['type'] == 'Resize'
        ]
        assert resize == [(128, 128)] * 2 and cfg.model.data_preprocessor.pad_size_divisor == 128
