"""What the tools do before MMEngine's runner: options, precision, data, whole checkpoints. The tools themselves:
tests/tools."""

import argparse
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from torch import nn

from mae_transfer import launch, runner
from mae_transfer.errors import UserError
from tests.helpers import enlarge, photo_folder, pretraining, small_vit


def config() -> Config:
    return Config(
        dict(
            data_root='data/coco/',
            pretrained='none',
            log_level='INFO',
            total_batch_size=64,
            lengths=[1, 2],
            model=dict(
                type='MAE', vit=dict(arch=dict(embed_dim=32, depth=2), img_size=(32, 48)), loss=dict(reduction='mean')
            ),
            train_dataloader=dict(
                dataset=dict(data_root='data/coco/', ann_file='data/coco/annotations/train.json', note='data/coconut/x')
            ),
            param_scheduler=[dict(type='LinearLR', end=10), dict(type='PolyLR', end=100)],
            hooks=(dict(interval=1),),
        )
    )


def changed(*options: str) -> Config:
    cfg = config()
    for option in options:
        cfg = launch.change_setting(cfg, option)
    return cfg


# --- options ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    'new, written', [('my/photos', 'my/photos/'), ('my/photos/', 'my/photos/'), ("'my photos'", 'my photos/')]
)
def test_a_changed_root_is_changed_in_every_path_below_it(new, written):
    cfg = changed(f'data_root={new}')
    dataset = cfg.train_dataloader.dataset
    assert cfg.data_root == dataset.data_root == written
    assert dataset.ann_file == f'{written}annotations/train.json'
    assert dataset.note == 'data/coconut/x'


def test_a_list_file_as_root_stays_a_file(tmp_path):
    (tmp_path / 'list.txt').write_text('a.jpg')
    assert changed(f'data_root={tmp_path}/list.txt').data_root == f'{tmp_path}/list.txt'


def test_other_settings_of_an_option_s_key_are_left_alone():
    before, after = config().to_dict(), changed('model.vit.arch.depth=7').to_dict()
    assert after['model']['vit']['arch'].pop('depth') == 7 and before['model']['vit']['arch'].pop('depth') == 2
    assert before == after


@pytest.mark.parametrize(
    'option, find, value',
    [
        ('total_batch_size=8', lambda cfg: cfg.total_batch_size, 8),
        ('model.loss.weight=.5', lambda cfg: cfg.model.loss.weight, 0.5),
        ('model.vit.img_size=(16,24)', lambda cfg: cfg.model.vit.img_size, (16, 24)),
        ('lengths=[3,4]', lambda cfg: cfg.lengths, [3, 4]),
        ('param_scheduler.1.end=7', lambda cfg: cfg.param_scheduler[1].end, 7),
        ('hooks.0.interval=9', lambda cfg: cfg.hooks[0].interval, 9),
        ("model.vit.arch={'depth': 3}", lambda cfg: cfg.model.vit.arch.to_dict(), {'depth': 3}),
        ('resume=True', lambda cfg: cfg.resume, True),
        ('pretrained=x.pth', lambda cfg: cfg.pretrained, 'x.pth'),
    ],
)
def test_a_setting_gets_its_value(option, find, value):
    assert find(changed(option)) == value


def test_options_are_applied_one_after_the_other():
    assert changed('data_root=a', 'train_dataloader.dataset.data_root=b').train_dataloader.dataset.data_root == 'b'


@pytest.mark.parametrize(
    'option, words',
    [
        ('data_rot=x', "the config has no 'data_rot'; did you mean 'data_root'"),
        ('model.vit.arhc.depth=3', "the config has no 'model.vit.arhc'; did you mean 'model.vit.arch'"),
        ('model.loss.reduction.kind=1', "'model.loss.reduction' is 'mean', which holds no settings"),
        ('param_scheduler.2.end=7', 'is a list of 2'),
        ('param_scheduler.-3.end=7', 'is a list of 2'),
        ('param_scheduler.first.end=7', 'is a list of 2'),
        ('total_batch_size', 'give KEY=VALUE'),
        ('=3', 'give KEY=VALUE'),
        ('data_root=', 'the value is empty'),
        ("model.vit.arch={'depth'", 'no dictionary'),
        ('lengths=[1,2', 'brackets'),
    ],
)
def test_an_option_that_cannot_be_is_refused_in_one_line(option, words):
    with pytest.raises(UserError) as caught:
        changed(option)
    assert words in str(caught.value) and '\n' not in str(caught.value)


def arguments(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    launch.common_arguments(parser)
    return parser.parse_args(list(words))


@pytest.mark.parametrize(
    'own, option, expected',
    [
        ('', (), 'work_dirs/tiny'),
        ("work_dir = 'mine'", (), 'mine'),
        ("work_dir = 'mine'", ('--work-dir', 'given'), 'given'),
    ],
)
def test_the_work_dir_is_the_commands_the_configs_or_named_after_it(tmp_path, own, option, expected):
    (tmp_path / 'tiny.py').write_text(f'model = dict()\n{own}\n')
    cfg = launch.load_config(arguments(str(tmp_path / 'tiny.py'), *option))
    assert cfg.work_dir == expected and cfg.launcher == 'none'


def test_a_missing_config_is_refused():
    with pytest.raises(UserError, match='config nowhere.py does not exist'):
        launch.load_config(arguments('nowhere.py'))


def test_data_sets_of_photos_have_the_vit_s_size_unless_they_state_one():
    cfg = Config(
        dict(
            model=dict(vit=dict(img_size=96)),
            train_dataloader=dict(dataset=dict(type='mae_transfer.Photos')),
            val_dataloader=dict(dataset=dict(type='RepeatDataset', dataset=dict(type='LabelledPhotos', img_size=64))),
            test_dataloader=dict(dataset=dict(type='CocoDataset')),
            test_cfg=dict(train_dataloader=dict(dataset=dict(type='LabelledPhotos'))),
        )
    )
    launch.share_img_size(cfg)
    assert cfg.train_dataloader.dataset.img_size == cfg.test_cfg.train_dataloader.dataset.img_size == 96
    assert cfg.val_dataloader.dataset.dataset.img_size == 64 and 'img_size' not in cfg.test_dataloader.dataset


# --- processes and precision ------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    'launcher, environment, expected',
    [
        ('none', {'WORLD_SIZE': '8'}, 1),
        ('pytorch', {'WORLD_SIZE': '8'}, 8),
        ('slurm', {'SLURM_NTASKS': '16', 'WORLD_SIZE': '2'}, 16),
        ('pytorch', {}, 1),
    ],
)
def test_the_launcher_s_environment_tells_how_many_processes_there_are(monkeypatch, launcher, environment, expected):
    for name in ('WORLD_SIZE', 'SLURM_NTASKS'):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert launch.world_size(launcher) == expected


@pytest.mark.parametrize(
    'amp, dtype', [('bf16', 'bfloat16'), ('fp16', 'float16'), ('off', 'float32'), (None, 'untouched')]
)
@pytest.mark.parametrize('scope', ['', 'mae_transfer.'])
def test_amp_sets_the_wrapper_s_type(amp, dtype, scope):
    cfg = Config(dict(optim_wrapper=dict(type=f'{scope}AutocastOptimWrapper', dtype='untouched')))
    launch.set_amp(cfg, amp)
    assert cfg.optim_wrapper.dtype == dtype


@pytest.mark.parametrize('wrapper', [dict(type='OptimWrapper'), dict(optimizer=dict())])
def test_amp_of_a_wrapper_without_precision_is_refused(wrapper):
    with pytest.raises(UserError, match='--amp needs'):
        launch.set_amp(Config(dict(optim_wrapper=wrapper)), 'bf16')


# --- before training
# ---------------------------------------------------------------------------------------------------
def test_training_is_prepared_with_the_plan_for_the_launched_processes(tmp_path, monkeypatch):
    monkeypatch.setenv('WORLD_SIZE', '2')
    cfg = pretraining(photo_folder(tmp_path / 'photos'), tmp_path / 'run')
    cfg.merge_from_dict(dict(total_batch_size=16, base_lr=0.16))
    plan = launch.prepare_training(cfg, 'pytorch')
    assert cfg.optim_wrapper.accumulative_counts == plan.accumulation == 4
    assert cfg.optim_wrapper.optimizer.lr == pytest.approx(0.01)


def test_weights_to_start_from_must_be_there(tmp_path):
    cfg = pretraining(photo_folder(tmp_path / 'photos'), tmp_path / 'run', pretrained=str(tmp_path / 'nowhere.pth'))
    with pytest.raises(UserError, match='nowhere.pth'):
        launch.prepare_training(cfg, 'none')
    cfg.pretrained = 'none'
    launch.prepare_training(cfg, 'none')


# --- whole checkpoints ------------------------------------------------------------------------------------------------
class Model(nn.Module):
    def __init__(self, classes: int = 3, depth: int = 2):
        super().__init__()
        self.backbone = small_vit(depth=depth)
        self.head = nn.Linear(16, classes)


@pytest.mark.parametrize('complete', [True, False])
@pytest.mark.parametrize(
    'wrap',
    [
        lambda state: dict(state_dict=state),
        lambda state: state,
        lambda state: dict(state_dict={f'module.{name}': value for name, value in state.items()}, meta=dict(epoch=3)),
    ],
)
def test_the_checkpoint_of_the_same_model_passes(wrap, complete):
    state = Model().state_dict()
    assert set(runner.check_whole_model(Model(), wrap(state), 'file', complete)) == set(state)


def without(state: dict, *prefixes: str) -> dict:
    return {name: value for name, value in state.items() if not name.startswith(prefixes)}


@pytest.mark.parametrize('complete', [True, False])
@pytest.mark.parametrize(
    'state, words',
    [
        (lambda: {}, r'\d+ of \d+ tensors are not in it.*it has e.g. none'),
        (lambda: dict(other=torch.zeros(1)), 'it has e.g. other'),
        (lambda: dict(model=Model().state_dict()), 'are not in it'),
        (
            lambda: {
                name.removeprefix('backbone.'): value for name, value in without(Model().state_dict(), 'head').items()
            },
            'are not in it',
        ),
        (lambda: Model(depth=3).state_dict(), r'blocks\.2\..* has no place here'),
        (lambda: Model(depth=1).state_dict(), r'blocks\.1\..* \(it has'),
        (
            lambda: {name: torch.zeros(7) for name in Model().state_dict()},
            r'blocks\.0\.norm1\.weight is \(7,\) there and \(16,\) here',
        ),
    ],
)
def test_the_checkpoint_of_another_model_is_refused(state, words, complete):
    with pytest.raises(UserError, match=words) as caught:
        runner.check_whole_model(Model(), state(), 'file', complete)
    assert str(caught.value).startswith('file is of another model') and '\n' not in str(caught.value)


@pytest.mark.parametrize(
    'state', [lambda: without(Model().state_dict(), 'head'), lambda: Model(classes=5).state_dict()]
)
def test_another_head_passes_only_where_the_checkpoint_need_not_be_complete(state):
    runner.check_whole_model(Model(), state(), 'file', complete=False)
    with pytest.raises(UserError, match='head.weight'):
        runner.check_whole_model(Model(), state(), 'file', complete=True)


def test_a_whole_model_is_loaded(tmp_path):
    source, target = enlarge(Model()), Model()
    torch.save(dict(state_dict=source.state_dict()), tmp_path / 'model.pth')
    runner.load_whole_model(target, str(tmp_path / 'model.pth'))
    assert all(torch.equal(value, source.state_dict()[name]) for name, value in target.state_dict().items())


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """A runner, and the config of one that would go on from its checkpoint."""
    folder = tmp_path_factory.mktemp('trained')
    photo_folder(folder / 'photos')
    cfg = pretraining(folder / 'photos', folder / 'run', train_cfg=dict(type='EpochBasedTrainLoop', max_epochs=1))
    runner = launch.build_runner(cfg, complete=False)
    runner.train()
    return runner, folder


@pytest.mark.parametrize('complete', [True, False])
def test_the_runner_loads_what_fits(trained, tmp_path, complete):
    runner = launch.build_runner(pretraining(trained[1] / 'photos', tmp_path), complete)
    runner.load_checkpoint(str(trained[1] / 'run' / 'epoch_1.pth'))
    for name, value in trained[0].model.state_dict().items():
        assert torch.equal(runner.model.state_dict()[name], value)


@pytest.mark.parametrize('complete', [True, False])
def test_the_runner_refuses_what_does_not_fit(trained, tmp_path, complete):
    cfg = pretraining(trained[1] / 'photos', tmp_path)
    cfg.model.vit.arch.embed_dim = 24
    runner = launch.build_runner(cfg, complete)
    before = {name: value.clone() for name, value in runner.model.state_dict().items()}
    with pytest.raises(UserError, match=r'is of another model: vit\.blocks'):
        runner.load_checkpoint(str(trained[1] / 'run' / 'epoch_1.pth'))
    assert all(torch.equal(value, before[name]) for name, value in runner.model.state_dict().items())


def test_resuming_needs_the_complete_model(trained, tmp_path):
    checkpoint = torch.load(trained[1] / 'run' / 'epoch_1.pth', weights_only=False)
    checkpoint['state_dict'] = without(checkpoint['state_dict'], 'decoder.pred')
    torch.save(checkpoint, tmp_path / 'part.pth')
    runner = launch.build_runner(pretraining(trained[1] / 'photos', tmp_path / 'run'), complete=False)
    runner.load_checkpoint(str(tmp_path / 'part.pth'))  # as --load-from
    with pytest.raises(UserError, match='decoder.pred'):
        runner.resume(str(tmp_path / 'part.pth'))


# --- ends -------------------------------------------------------------------------------------------------------------
def test_a_user_s_mistake_ends_with_one_line_and_code_2(capsys):
    def main():
        raise UserError('the lamp is off: switch it on')

    with pytest.raises(SystemExit) as end:
        launch.run_main(main)
    assert end.value.code == 2
    assert capsys.readouterr().err == 'error: the lamp is off: switch it on\n'


@pytest.mark.parametrize('error', [ValueError('ours'), TypeError('ours'), KeyError('ours')])
def test_a_mistake_of_ours_keeps_its_traceback(error):
    def main():
        raise error

    with pytest.raises(type(error), match='ours'):
        launch.run_main(main)


def test_a_tool_that_succeeds_just_ends():
    assert launch.run_main(lambda: None) is None


def test_a_tool_leaves_the_group_of_processes(tmp_path):
    def main():
        torch.distributed.init_process_group('gloo', init_method=f'file://{tmp_path}/meet', rank=0, world_size=1)

    launch.run_main(main)
    assert not torch.distributed.is_initialized()


@pytest.mark.parametrize('kind, own', [('mmdet.DetVisualizationHook', True), ('SegVisualizationHook', False)])
def test_predictions_are_drawn_into_the_folder(kind, own, tmp_path):
    cfg = Config(dict(default_hooks=dict(visualization=dict(type=kind)), visualizer=dict(type='Visualizer')))
    launch.draw_predictions(cfg, str(tmp_path / 'pictures'))
    hook = cfg.default_hooks.visualization
    assert hook.draw and hook.interval == 1
    found = hook.test_out_dir if own else cfg.visualizer.save_dir
    assert Path(found) == tmp_path / 'pictures'


def test_a_config_without_visualization_cannot_draw():
    with pytest.raises(UserError, match='--show-dir needs'):
        launch.draw_predictions(Config(dict(default_hooks=dict())), 'x')


@pytest.mark.parametrize(
    'config_file, expected',
    [
        ('configs/mae_pretrain_vitl.py', 'work_dirs/mae_pretrain_vitl'),
        ('/somewhere/configs/small/mae_pretrain.py', 'work_dirs/small/mae_pretrain'),
        ('mine.py', 'work_dirs/mine'),
        ('/home/me/mine.py', 'work_dirs/mine'),
    ],
)
def test_the_default_work_dir_is_the_config_s_path_below_configs(config_file, expected):
    assert launch.default_work_dir(Path(config_file)) == Path(expected)
