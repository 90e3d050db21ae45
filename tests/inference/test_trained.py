"""A trained model is read whole from its run, or an error says what to give instead."""

import re
import shutil

import pytest
import torch

from mae_transfer.errors import UserError
from mae_transfer.inference.trained import load, loaded
from mae_transfer.vit import ViT
from mae_transfer.vit.weights.checkpoint import find_checkpoint, read_checkpoint
from tests.helpers import save_photo, small_vit
from tests.inference.runs import DETECTED, SEGMENTED

CLASSES = dict(pretrain=(), classify=('blue', 'green', 'red'), detect=DETECTED, segment=SEGMENTED)


@pytest.mark.parametrize('task', CLASSES)
def test_every_weight_of_a_run_is_loaded(task, runs):
    trained = load(runs(task).work_dir, device='cpu')
    stored = read_checkpoint(find_checkpoint(runs(task).work_dir))['state_dict']
    state = trained.model.state_dict()
    assert stored.keys() == state.keys()
    assert all(torch.equal(stored[name], value) for name, value in state.items())
    assert (trained.task, trained.classes, trained.device.type) == (task, CLASSES[task], 'cpu')
    assert not any(module.training for module in trained.model.modules())
    assert isinstance(trained.vit, ViT) and trained.vit.embed_dim == 32


def test_neither_data_nor_config_file_nor_starting_weights_are_needed(runs, tmp_path):
    """The checkpoint alone, moved to another folder, of a run whose weights to start from are gone."""
    stored = read_checkpoint(find_checkpoint(runs('detect').work_dir))
    stored['meta']['cfg'] = stored['meta']['cfg'].replace("checkpoint='none'", "checkpoint='gone.pth'")
    assert 'gone.pth' in stored['meta']['cfg']
    torch.save(stored, tmp_path / 'moved.pth')
    trained = load(tmp_path / 'moved.pth', device='cpu')
    assert trained.cfg.model.backbone.init_cfg.checkpoint == 'gone.pth' and trained.classes == DETECTED
    assert isinstance(trained.cfg.test_dataloader.dataset.pipeline[1]['scale'], tuple)


def test_the_config_beside_a_checkpoint_without_one(runs, tmp_path):
    stored = read_checkpoint(find_checkpoint(runs('classify').work_dir))
    torch.save(dict(state_dict=stored['state_dict']), tmp_path / 'weights.pth')
    with pytest.raises(UserError, match=r'holds a ViT \(mae_transfer\) without the config of a run'):
        load(tmp_path / 'weights.pth')
    shutil.copy(next(runs('classify').work_dir.glob('*.py')), tmp_path / 'config.py')
    assert load(tmp_path / 'weights.pth', device='cpu').task == 'classify'
    shutil.copy(tmp_path / 'config.py', tmp_path / 'other.py')
    with pytest.raises(UserError, match=r'there are 2 beside it \(config.py, other.py\)'):
        load(tmp_path / 'weights.pth')


def test_settings_are_changed_by_keywords_and_by_dotted_keys(runs):
    trained = load(
        runs('detect').work_dir,
        device='cpu',
        cfg_options={'model.test_cfg.rcnn.score_thr': 0.5},
        model__test_cfg__rcnn__max_per_img=7,
    )
    assert trained.model.test_cfg.rcnn.score_thr == 0.5 and trained.model.test_cfg.rcnn.max_per_img == 7
    with pytest.raises(UserError, match='did you mean model.rpn_head'):
        load(runs('detect').work_dir, model__rpn_hed=1)


@pytest.mark.parametrize(
    'make, words',
    [
        (lambda folder: folder / 'none', 'no checkpoint file or work_dir'),
        (lambda folder: folder, "has no file 'last_checkpoint': it is empty"),
        (lambda folder: save_photo(folder / 'photo.png'), 'photo.png'),
        (lambda folder: None, 'run is a path'),
    ],
)
def test_what_is_no_run_is_refused(make, words, tmp_path):
    with pytest.raises(UserError, match=words) as caught:
        load(make(tmp_path))
    assert '\n' not in str(caught.value)


def test_a_vit_alone_is_refused(tmp_path):
    torch.save(dict(model=small_vit().state_dict()), tmp_path / 'vit.pth')
    with pytest.raises(
        UserError, match=r'holds a ViT \(.*\) without the config .* fine-tune it first.*arch='
    ) as caught:
        load(tmp_path / 'vit.pth')
    assert '\n' not in str(caught.value)


def changed(run, change, path):
    stored = read_checkpoint(find_checkpoint(run.work_dir))
    change(stored)
    torch.save(stored, path)
    return path


@pytest.mark.parametrize(
    'change, words',
    [
        (lambda stored: stored['state_dict'].pop('head.bias'), r'of another model: 1 of \d+ tensors are not in it'),
        (
            lambda stored: stored['meta'].update(cfg=stored['meta']['cfg'].replace("arch='32x2x2'", "arch='32x3x2'")),
            'of another model',
        ),
        (lambda stored: stored['meta'].update(cfg='data_root = 1'), 'is of no run, as it has no model'),
        (
            lambda stored: stored['meta'].update(cfg=stored['meta']['cfg'].replace('ViTClassifier', 'ViTClasifier')),
            "there is no type 'ViTClasifier' of models",
        ),
        (
            lambda stored: stored['meta'].update(cfg=stored['meta']['cfg'].replace("type='ViT'", "type='ViTT'")),
            "there is no type 'ViTT' in",
        ),
        (
            lambda stored: stored['meta'].update(
                cfg=re.sub(r"imports=\[\s*'mae_transfer'", "imports=['gone'", stored['meta']['cfg'])
            ),
            'gone.*check custom_imports',
        ),
        # A config that would run something is not read.
        (lambda stored: stored['meta'].update(cfg='model = print(1)'), 'without the config of a run'),
    ],
)
def test_a_checkpoint_that_does_not_fit_its_config_is_refused(change, words, runs, tmp_path):
    path = changed(runs('classify'), change, tmp_path / 'changed.pth')
    with pytest.raises(UserError, match=words) as caught:
        load(path)
    assert '\n' not in str(caught.value)


def test_the_device(runs):
    trained = load(runs('classify').work_dir, device='cpu')
    assert loaded(trained) is trained is loaded(trained, 'cpu')
    for device in ('cuda:7', 'gpu'):
        with pytest.raises(UserError, match=f"device '{device}' cannot be used"):
            load(runs('classify').work_dir, device=device)


def test_classes_of_the_config_where_the_checkpoint_has_none(runs, tmp_path):
    for task in ('detect', 'segment'):
        path = changed(runs(task), lambda stored: stored['meta'].pop('dataset_meta'), tmp_path / f'{task}.pth')
        assert load(path, device='cpu').classes == CLASSES[task]
