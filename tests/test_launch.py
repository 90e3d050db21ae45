"""What the tools do before MMEngine's runner, and how they end. The tools themselves: tests/tools."""

import argparse
import subprocess
import sys
from pathlib import Path

import pytest
from mmengine.config import Config

from mae_transfer import launch
from mae_transfer.errors import UserError
from mae_transfer.registry import MODELS
from mae_transfer.settings import change_settings, read_config
from tests.helpers import photo_folder, pretraining

CONFIGS = Path(__file__).parents[1] / 'configs'


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


def test_the_packages_own_configs_are_found_by_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    named = launch.load_config(arguments('mae_transfer::coco_maskrcnn_vitb.py'))
    assert named.to_dict() == launch.load_config(arguments(str(CONFIGS / 'coco_maskrcnn_vitb.py'))).to_dict()
    (tmp_path / 'mine.py').write_text("_base_ = 'mae_transfer::coco_maskrcnn_vitb.py'\nimage_size = (64, 64)\n")
    mine = launch.load_config(arguments('mine.py'))
    assert mine.default_scope == 'mmdet' and mine.model.data_preprocessor.pad_size_divisor == 64


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


@pytest.mark.parametrize('amp, dtype', [('bf16', 'bfloat16'), ('fp16', 'float16'), ('off', 'float32')])
@pytest.mark.parametrize('name', ['mae_pretrain_vitb', 'coco_maskrcnn_vitb', 'ade20k_upernet_vitb'])
def test_amp_sets_the_wrapper_s_type(name, amp, dtype):
    cfg = read_config(CONFIGS / f'{name}.py')
    assert change_settings(cfg, launch.set_amp(cfg, amp)).optim_wrapper.dtype == dtype


@pytest.mark.parametrize('wrapper', [dict(type='OptimWrapper'), dict(optimizer=dict()), None])
def test_amp_of_a_wrapper_without_precision_is_refused(wrapper):
    with pytest.raises(UserError, match='--amp needs'):
        launch.set_amp(Config(dict(default_scope='mae_transfer', optim_wrapper=wrapper)), 'bf16')


# --- before training --------------------------------------------------------------------------------------------------
def run_config(tmp_path, **changes) -> Config:
    return pretraining(photo_folder(tmp_path / 'photos'), tmp_path / 'run', launcher='none', **changes)


def test_an_impossible_batch_is_found_for_the_processes_that_were_launched(tmp_path, monkeypatch):
    cfg = run_config(tmp_path, total_batch_size=2, base_lr=0.16)
    del cfg.optim_wrapper.optimizer['lr']
    launch.prepare_training(cfg)
    monkeypatch.setenv('WORLD_SIZE', '2')
    cfg.launcher = 'pytorch'
    with pytest.raises(UserError, match='total_batch_size 2 cannot be made of 2 processes x 2 images'):
        launch.prepare_training(cfg)


@pytest.mark.parametrize('source', ['none', None])
def test_random_weights_are_asked_for_by_none_of_both_kinds(tmp_path, capsys, source):
    cfg = run_config(tmp_path)
    cfg.model.vit.init_cfg = dict(type='Pretrained', checkpoint=source)
    launch.prepare_training(cfg)
    cfg.model.vit.init_cfg = None
    launch.prepare_training(cfg)
    assert capsys.readouterr().out == 'weights to start from: none, all are random\n' * 2


def test_the_weights_to_start_from_are_named_first_and_must_be_there(tmp_path, capsys):
    cfg = run_config(tmp_path)
    weights = tmp_path / 'vit.pth'
    cfg.model.vit.init_cfg = dict(type='Pretrained', checkpoint=str(weights))
    with pytest.raises(UserError, match='model.vit.init_cfg.checkpoint: no checkpoint file or work_dir .*vit.pth'):
        launch.prepare_training(cfg)
    weights.touch()
    launch.prepare_training(cfg)
    assert capsys.readouterr().out == f'weights to start from: {weights} (model.vit)\n'


@pytest.mark.parametrize('name', ['in1k_finetune_vitb', 'coco_maskrcnn_vitb', 'ade20k_upernet_vitb'])
def test_pretrained_is_followed_by_every_task_and_named_where_it_is_missing(name):
    cfg = read_config(CONFIGS / f'{name}.py', ['pretrained=mine.pth'])
    assert [source for _, source in launch.starting_weights(cfg.model, 'model')] == ['mine.pth']
    for nothing in ('None', 'none'):
        cfg = read_config(CONFIGS / f'{name}.py', [f'pretrained={nothing}'])
        assert not list(launch.starting_weights(cfg.model, 'model'))


# --- what options of the tools change ---------------------------------------------------------------------------------
@pytest.mark.parametrize('checkpoint, pretrained', [('none', 'none'), ('{}/vit.pth', '{}/vit.pth')])
def test_a_protocol_without_training_tests_the_vit_and_changes_nothing_else(tmp_path, checkpoint, pretrained):
    (tmp_path / 'vit.pth').touch()
    cfg = read_config(CONFIGS / 'small' / 'knn_tin20.py', ['pretrained=none'])
    cfg = change_settings(cfg, [('launcher', 'none')])
    tested = change_settings(cfg, launch.set_checkpoint(cfg, checkpoint.format(tmp_path)))
    assert tested.model.vit.init_cfg.checkpoint == pretrained.format(tmp_path)
    assert tested.launcher == 'none' and tested.get('load_from') is None


def test_other_models_are_loaded_whole(tmp_path):
    (tmp_path / 'model.pth').touch()
    cfg = read_config(CONFIGS / 'in1k_finetune_vitb.py')
    tested = change_settings(cfg, launch.set_checkpoint(cfg, str(tmp_path / 'model.pth')))
    assert tested.load_from == f'{tmp_path}/model.pth' and tested.pretrained == cfg.pretrained


@pytest.mark.parametrize('name, own', [('coco_maskrcnn_vitb', True), ('ade20k_upernet_vitb', False)])
def test_predictions_are_drawn_into_the_folder(name, own, tmp_path):
    cfg = read_config(CONFIGS / f'{name}.py')
    cfg = change_settings(cfg, launch.set_show_dir(cfg, str(tmp_path / 'pictures')))
    hook = cfg.default_hooks.visualization
    assert hook.draw and hook.interval == 1
    assert Path(hook.test_out_dir if own else cfg.visualizer.save_dir) == tmp_path / 'pictures'


def test_a_config_without_visualization_cannot_draw():
    with pytest.raises(UserError, match='--show-dir needs'):
        launch.set_show_dir(read_config(CONFIGS / 'mae_pretrain_vitb.py'), 'x')


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


def test_one_of_several_processes_ends_with_its_code(tmp_path):
    script = tmp_path / 'tool.py'
    script.write_text(
        'import torch\n'
        'from mae_transfer import errors, launch\n'
        'def main():\n'
        f"    torch.distributed.init_process_group('gloo', init_method='file://{tmp_path}/meet', rank=0, "
        'world_size=1)\n'
        "    raise errors.UserError('one line')\n"
        'launch.run_main(main)\n'
    )
    ended = subprocess.run([sys.executable, script], capture_output=True, text=True)
    assert (ended.returncode, ended.stdout, ended.stderr) == (2, '', 'error: one line\n')


def test_a_type_that_there_is_none_of_is_one_line(capsys):
    with pytest.raises(SystemExit):
        launch.run_main(lambda: MODELS.build(dict(type='ViTT')))
    assert "there is no type 'ViTT' in mae_transfer::model: is it misspelt" in capsys.readouterr().err


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


# --- outputs ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize('words, option', [(('--work-dir', '{}'), '--work-dir'), ((), 'work_dir')])
@pytest.mark.parametrize('below', ['', '/run/1'])
def test_a_file_is_no_work_dir(words, option, below, tmp_path):
    (tmp_path / 'file').touch()
    (tmp_path / 'tiny.py').write_text(f"model = dict()\nwork_dir = '{tmp_path}/file{below}'\n")
    words = [word.format(f'{tmp_path}/file{below}') for word in words]
    says = f"^{option}: the folder '{tmp_path}/file{below}' cannot be created: '{tmp_path}/file' is a file$"
    with pytest.raises(UserError, match=says):
        launch.load_config(arguments(str(tmp_path / 'tiny.py'), *words))


def test_a_work_dir_whose_name_is_not_utf_8_is_refused(tmp_path):
    """MMEngine writes its path into text files, after the first epoch."""
    (tmp_path / 'tiny.py').write_text('model = dict()')
    with pytest.raises(UserError, match=r"--work-dir: files of the run name its folder, but 'caf\\xe9' is no text"):
        launch.load_config(arguments(str(tmp_path / 'tiny.py'), '--work-dir', 'caf\udce9'))


def test_a_work_dir_and_a_config_in_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    (tmp_path / 'tiny.py').write_text('model = dict()')
    assert launch.load_config(arguments('~/tiny.py', '--work-dir', '~/run')).work_dir == f'{tmp_path}/run'


def test_a_file_is_no_folder_for_pictures(tmp_path):
    (tmp_path / 'file').touch()
    cfg = read_config(CONFIGS / 'coco_maskrcnn_vitb.py')
    with pytest.raises(UserError, match=f"--show-dir: the folder '{tmp_path}/file' cannot be created: '.*' is a file"):
        launch.set_show_dir(cfg, str(tmp_path / 'file'))


def test_an_error_with_a_name_that_is_not_utf_8_is_printed(capsys):
    def fail():
        raise UserError('caf\udce9.jpg is missing')

    with pytest.raises(SystemExit):
        launch.run_main(fail)
    assert capsys.readouterr().err == 'error: caf\\xe9.jpg is missing\n'
