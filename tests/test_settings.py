"""Settings of a config changed, and all that refers to them."""

from operator import attrgetter

import pytest
from mmengine.config import Config

from mae_transfer.errors import UserError
from mae_transfer.settings import change_settings, read_config
from tests.configs.recipes import load

BASE = """
data_root = 'data'
side = 8
max_epochs = 100
norm = dict(type='BN')
model = dict(type='Net', size='${side}', norm='${norm}', strides=(1, 2), depth=2, note='data')
train_dataloader = dict(dataset=dict(data_root='${data_root}', list='${data_root}/train.txt'))
val_dataloader = dict(dataset=dict(data_root='${data_root}'))
train_cfg = dict(max_epochs='${max_epochs}', val_interval='${max(1, train_cfg.max_epochs // 20)}')
param_scheduler = [dict(type='A', end='${train_cfg.max_epochs}'), dict(type='B', end=7)]
custom_hooks = (dict(interval=1),)
"""
CONFIG = """
_base_ = ['../base.py']
side = 16
model = dict(area='${side ** 2}')
"""


@pytest.fixture
def config(tmp_path):
    (tmp_path / 'sub').mkdir()
    (tmp_path / 'base.py').write_text(BASE)
    (tmp_path / 'sub' / 'config.py').write_text(CONFIG)
    return tmp_path / 'sub' / 'config.py'


def test_without_options_references_have_the_values_of_the_last_config(config):
    cfg = read_config(config)
    assert (cfg.model.size, cfg.model.area, cfg.train_cfg.val_interval) == (16, 256, 5)
    assert cfg.train_dataloader.dataset.list == 'data/train.txt' and cfg.filename == str(config)
    assert cfg.references['model.size'] == '${side}'


@pytest.mark.parametrize('options', [[], ['side=4', 'max_epochs=40'], ['norm.type=LN']])
def test_what_a_run_writes_reads_back_and_can_be_changed_again(config, options, tmp_path):
    cfg = read_config(config, options)
    cfg.dump(tmp_path / 'dumped.py')
    assert read_config(tmp_path / 'dumped.py').to_dict() == cfg.to_dict() == change_settings(cfg, []).to_dict()
    again = ['side=2', 'data_root=elsewhere', 'train_cfg.max_epochs=60']
    expected = read_config(config, [*options, *again]).to_dict()
    assert read_config(tmp_path / 'dumped.py', again).to_dict() == expected


def test_all_that_refers_to_a_setting_follows_it_and_nothing_else(config):
    before, after = (read_config(config, options).to_dict() for options in ([], ['data_root=elsewhere']))
    assert after['train_dataloader']['dataset'] == dict(data_root='elsewhere', list='elsewhere/train.txt')
    assert after['val_dataloader']['dataset']['data_root'] == after.pop('data_root') == 'elsewhere'
    del before['data_root']
    for settings in (before, after):
        del settings['train_dataloader'], settings['val_dataloader'], settings['reference_values']
    assert before == after  # the note that happens to be 'data', too


def test_a_place_that_is_set_itself_follows_no_more(config):
    cfg = read_config(config, ['train_dataloader.dataset.data_root=b', 'data_root=a'])
    assert cfg.train_dataloader.dataset.data_root == 'b' and cfg.val_dataloader.dataset.data_root == 'a'
    assert cfg.train_dataloader.dataset.list == 'a/train.txt'
    assert 'train_dataloader.dataset.data_root' not in cfg.references


@pytest.mark.parametrize('option', ['max_epochs=40', 'train_cfg.max_epochs=40'])
def test_a_length_can_be_set_at_the_top_or_where_the_loop_has_it(config, option):
    cfg = read_config(config, [option])
    assert cfg.train_cfg == dict(max_epochs=40, val_interval=2) and cfg.param_scheduler[0].end == 40
    assert cfg.get('max_epochs', 40) == 40, 'the config states another length still'


@pytest.mark.parametrize(
    'option, find, value',
    [
        ('model.depth=5', lambda cfg: cfg.model.depth, 5),
        ('model.strides=(4,8)', lambda cfg: cfg.model.strides, (4, 8)),
        ('model.extra=.5', lambda cfg: cfg.model.extra, 0.5),
        ('param_scheduler.1.end=9', lambda cfg: cfg.param_scheduler[1].end, 9),
        ('custom_hooks.0.interval=9', lambda cfg: cfg.custom_hooks[0].interval, 9),
        ("norm={'type': 'LN', 'eps': 1e-6}", lambda cfg: cfg.model.norm, dict(type='LN', eps=1e-6)),
        ('model.norm.type=GN', lambda cfg: (cfg.model.norm.type, cfg.get('norm')), ('GN', None)),
        ('model.size=${side * 2}', lambda cfg: cfg.model.size, 32),
        ('resume=True', lambda cfg: cfg.resume, True),
        ('data_root=None', lambda cfg: cfg.val_dataloader.dataset.data_root, None),
        ('data_root=2024', lambda cfg: cfg.val_dataloader.dataset.data_root, '2024'),
    ],
)
def test_a_setting_gets_its_value(config, option, find, value):
    if option == 'data_root=None':
        option = ['train_dataloader.dataset.list=None', option]  # a path of no folder would be refused
    assert find(read_config(config, option if isinstance(option, list) else [option])) == value


def test_options_are_applied_one_after_the_other(config):
    cfg = read_config(config, ['norm.type=GN', 'side=2', 'side=3', "norm={'type': 'LN'}"])
    assert (cfg.model.norm, cfg.model.area) == (dict(type='LN'), 9)


def test_values_can_be_given_as_they_are(config):
    cfg = change_settings(read_config(config), [('side', 3), ('model.strides', [1])])
    assert (cfg.model.size, cfg.model.strides) == (3, [1])


@pytest.mark.parametrize(
    'option, words',
    [
        ('data_rot=x', "the config has no 'data_rot'; did you mean 'data_root'"),
        ('max_epoch=3', "the config has no 'max_epoch'; did you mean 'max_epochs'"),
        ('model.nrom.type=LN', "the config has no 'model.nrom'; did you mean 'model.norm'"),
        ('model.depth.kind=1', "'model.depth' is 2, which holds no settings"),
        ('param_scheduler.2.end=7', 'is a list of 2'),
        ('param_scheduler.-3.end=7', 'is a list of 2'),
        ('param_scheduler.first.end=7', 'is a list of 2'),
        ('model.strides.0=7', r"set 'model.strides' as a whole, e.g. model.strides=\(1,2\)"),
        ('side', 'give KEY=VALUE'),
        ('data_root=', 'the value is empty'),
        ('side=[1,2', '--cfg-options side: the brackets'),
        ('model.size=${sid}', "the config has no 'sid'; did you mean 'side'"),
        ('side=${side}', 'depends on itself'),
    ],
)
def test_an_option_that_cannot_be_is_refused_in_one_line(config, option, words):
    with pytest.raises(UserError, match=words) as caught:
        read_config(config, [option])
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize('option', ['pipeline.0.type=B', 'pipeline=[]'])
def test_a_setting_that_nothing_reads_is_refused(config, option):
    config.write_text(CONFIG + "pipeline = [dict(type='A')]\nmodel['pipeline'] = pipeline\n")
    with pytest.raises(UserError, match="'pipeline' is in the config, but nothing reads it"):
        read_config(config, [option])
    assert read_config(config, ['model.pipeline.0.type=B']).model.pipeline[0].type == 'B'


def test_the_config_of_a_run_can_be_changed_by_hand(config, tmp_path):
    read_config(config).dump(tmp_path / 'dumped.py')
    text = (tmp_path / 'dumped.py').read_text().replace(' = ', '=')

    def read(text, *options):
        (tmp_path / 'edited.py').write_text(text)
        return read_config(tmp_path / 'edited.py', options)

    owner = read(text.replace('side=16', 'side=32'))
    assert (owner.side, owner.model.size, owner.model.area) == (32, 32, 1024)
    follower = read(text.replace('size=16', 'size=5'))
    assert (follower.side, follower.model.size, follower.model.area) == (16, 5, 256)
    both = read(text.replace('size=16', 'size=5').replace('side=16', 'side=32'), 'max_epochs=40')
    assert (both.model.size, both.model.area, both.train_cfg.val_interval) == (5, 1024, 2)
    assert 'model.size' not in both.references and both.references['model.area'] == '${side ** 2}'


def test_a_config_may_stand_on_that_of_a_run(config, tmp_path):
    read_config(config).dump(tmp_path / 'dumped.py')
    (tmp_path / 'derived.py').write_text(
        "_base_ = 'dumped.py'\nside = 32\nmodel = dict(norm=None)\nparam_scheduler = [dict(type='C')]\n"
    )
    cfg = read_config(tmp_path / 'derived.py', ['data_root=other'])
    assert (cfg.model.size, cfg.model.area, cfg.model.norm) == (32, 1024, None)
    assert cfg.param_scheduler == [dict(type='C')] and cfg.train_dataloader.dataset.list == 'other/train.txt'


def test_references_within_tuples_are_kept(tmp_path):
    (tmp_path / 'config.py').write_text("side = 8\nmodel = dict(sizes=('${side}', 4), names={'a.b': '${side}'})\n")
    cfg = read_config(tmp_path / 'config.py')
    cfg.dump(tmp_path / 'dumped.py')
    for start in (cfg, Config.fromfile(tmp_path / 'dumped.py')):
        changed = change_settings(start, ['side=2'])
        assert changed.model.sizes == (2, 4) and changed.model.names == {'a.b': 2}


def test_a_config_without_references_is_as_it_was():
    cfg = Config(dict(model=dict(a=[1, (2, dict(b=None))]), train_cfg=dict(max_epochs=3)))
    assert change_settings(cfg, []).to_dict() == cfg.to_dict()
    assert change_settings(cfg, ['train_cfg.max_epochs=5']).train_cfg.max_epochs == 5 and cfg.train_cfg.max_epochs == 3


def test_a_value_that_has_lost_its_meaning_can_be_replaced(tmp_path):
    path = tmp_path / 'config.py'
    path.write_text("""
data_root = 'data'
classes = '${join(data_root, "names.txt")}'
model = dict(names='${classes}', roots='${data_root}')
""")
    cfg = read_config(path, ['data_root=[a,b]', 'classes=own.txt'])
    assert cfg.model.names == 'own.txt' and cfg.model.roots == ['a', 'b']
    with pytest.raises(UserError, match='names.txt is one file, but the folder for it, data_root, is'):
        read_config(path, ['data_root=[a,b]'])


@pytest.mark.parametrize(
    'text, words',
    [
        ("_base_ = 'nowhere.py'", 'No such file or directory: .*nowhere.py'),
        ("_base_ = 'mae_transfer::nowhere.py'", 'No such file or directory: .*nowhere.py'),
        ('a = (', 'was never closed'),
        ("_base_ = 'base.py'\nmodel = dict(type=dict(a=1))", 'type is a dict in the child config'),
        (
            "custom_imports = dict(imports=['no_such_module.x'])",
            "No module named 'no_such_module': check custom_imports",
        ),
        ("_base_ = ['base.py', 'base2.py']", 'Duplicate key'),
        ("_base_ = 'no_such_package::x.py'", 'get external package'),
    ],
)
def test_a_config_that_cannot_be_read_is_refused_in_one_line(text, words, tmp_path):
    for name in ('base.py', 'base2.py'):
        (tmp_path / name).write_text("model = dict(type='Net')")
    (tmp_path / 'config.py').write_text(text)
    with pytest.raises(UserError, match=words) as caught:
        read_config(tmp_path / 'config.py')
    assert str(caught.value).startswith(f'{tmp_path}/config.py: ') and '\n' not in str(caught.value)


def test_a_tilde_at_the_beginning_of_a_setting_is_the_home_folder(config, monkeypatch, tmp_path):
    monkeypatch.setenv('HOME', str(tmp_path))
    cfg = read_config(config, ['data_root=~/mine', 'val_dataloader.dataset.data_root=[~,~/b]', 'model.note=a ~/b'])
    assert cfg.train_dataloader.dataset == dict(data_root=f'{tmp_path}/mine', list=f'{tmp_path}/mine/train.txt')
    assert cfg.val_dataloader.dataset.data_root == [str(tmp_path), f'{tmp_path}/b'] and cfg.model.note == 'a ~/b'
    again = change_settings(cfg, ['data_root=other'])
    assert again.train_dataloader.dataset.list == 'other/train.txt'


@pytest.mark.parametrize(
    'name, options, places',
    [
        ('mae_pretrain_vitb', ['data_root=~/d', 'work_dir=~/w'], ['train_dataloader.dataset.data_root', 'work_dir']),
        ('in1k_finetune_vitb', ['pretrained=~/v.pth'], ['model.vit.init_cfg.checkpoint']),
        ('coco_maskrcnn_vitb', ['data_root=~/d'], ['val_dataloader.dataset.data_root', 'val_evaluator.ann_file']),
        ('ade20k_upernet_vitb', ['data_root=~/d'], ['test_dataloader.dataset.data_root']),
        ('coco_maskrcnn_vitb', ['val_dataloader.dataset.ann_file=~/a.json'], ['val_evaluator.ann_file']),
    ],
)
def test_in_every_recipe(name, options, places, monkeypatch, tmp_path):
    monkeypatch.setenv('HOME', str(tmp_path))
    cfg = change_settings(load(name), options)
    for place in places:
        assert attrgetter(place)(cfg).startswith(f'{tmp_path}/'), place
