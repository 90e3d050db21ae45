"""What is wrong in a config is one line, before anything is built."""

from pathlib import Path

import pytest
from mmengine.config import Config

from mae_transfer.checks import (
    check_batch_norm,
    check_classes,
    check_data,
    check_image_sizes,
    check_length,
    check_loaders,
    check_parts,
    check_settings,
)
from mae_transfer.data import LabelledPhotos
from mae_transfer.errors import UserError
from mae_transfer.kinds import data_loaders
from mae_transfer.registry import DATASETS
from mae_transfer.settings import change_settings, read_config
from tests.helpers import photo_folder

CONFIGS = Path(__file__).parents[1] / 'configs'

LABELLED = dict(type='LabelledPhotos', split='train')


def loader(**dataset) -> Config:
    return Config(dict(train_dataloader=dict(dataset=dict(type='CocoDataset', **dataset))))


@pytest.fixture
def coco(tmp_path):
    photo_folder(tmp_path / 'images', 1)
    (tmp_path / 'labels.json').write_text('{}')
    (tmp_path / 'empty').mkdir()
    return tmp_path


def test_data_that_is_there_passes(coco):
    check_data(loader(data_root=str(coco), ann_file='labels.json', data_prefix=dict(img='images/')), 'train')


@pytest.mark.parametrize('wrap', [lambda dataset: dataset, lambda dataset: dict(type='RepeatDataset', dataset=dataset)])
@pytest.mark.parametrize(
    'changes, words',
    [
        (dict(data_root='{}/nowhere'), r'train_dataloader: .*nowhere does not exist: set the data root'),
        (
            dict(data_root='{}/empty', ann_file='', data_prefix=dict()),
            r'folder .*empty is empty: fill it, or name another by data_root=FOLDER',
        ),
        (dict(data_prefix=dict(img='pictures/')), r'pictures does not exist'),
        (
            dict(data_prefix=dict(img='empty/')),
            r'folder .*empty is empty: .* by .*_dataloader.dataset.data_prefix.img=FOLD',
        ),
        (dict(ann_file='other.json'), r'annotation file .*other.json does not exist'),
    ],
)
def test_missing_data_is_named_in_one_line(coco, wrap, changes, words):
    dataset = dict(dict(data_root='{}', ann_file='labels.json', data_prefix=dict(img='images/')), **changes)
    dataset['data_root'] = dataset['data_root'].format(coco)
    cfg = Config(dict(train_dataloader=dict(dataset=wrap(dataset))))
    with pytest.raises(UserError, match=words) as caught:
        check_data(cfg, 'train')
    assert '\n' not in str(caught.value)


def test_only_the_named_loaders_are_looked_at(coco):
    check_data(loader(data_root='nowhere'), 'val')


def test_the_train_images_of_a_protocol_without_training_are_looked_at_too(coco):
    cfg = Config(
        dict(test_cfg=dict(type='KNNLoop', train_dataloader=dict(dataset=dict(LABELLED, data_root='nowhere'))))
    )
    with pytest.raises(UserError, match='test_cfg.train_dataloader: nowhere does not exist'):
        check_data(cfg, 'test')
    check_data(cfg, 'train')
    assert list(data_loaders(cfg)) == ['test_cfg.train_dataloader']


@pytest.mark.parametrize('size', [0, -1, 2.5, '8'])
def test_a_batch_is_a_whole_number_of_images(size):
    with pytest.raises(
        UserError, match=f'val_dataloader.batch_size is a whole number of images, 1 or more; found {size}'
    ):
        check_loaders(Config(dict(model=dict(), val_dataloader=dict(batch_size=size))), 'train', 'val')


@pytest.mark.parametrize('size, fits', [(3, False), (4, True)])
def test_images_are_mixed_in_pairs(size, fits):
    cfg = Config(
        dict(model=dict(data_preprocessor=dict(mixup=dict(mixup_alpha=0.8))), train_dataloader=dict(batch_size=size))
    )
    if fits:
        return check_loaders(cfg, 'train')
    with pytest.raises(UserError, match='choose an even train_dataloader.batch_size; found 3'):
        check_loaders(cfg, 'train')


def test_a_batch_takes_all_crops_of_a_photo():
    loader = dict(batch_size=6, sampler=dict(type='SeededSampler', repeats=4))
    cfg = Config(dict(model=dict(), train_dataloader=loader))
    with pytest.raises(UserError, match='batch_size 6 divides the 4 crops of a photo: choose a multiple, e.g. 8'):
        check_loaders(cfg, 'train')
    cfg.train_dataloader.batch_size = 8
    assert check_loaders(cfg, 'train') is None


@pytest.mark.parametrize('arch, size, advice', [('base', 100, 96), ('huge', (224, 230), 224)])
def test_crops_are_multiples_of_the_patch(arch, size, advice):
    cfg = Config(dict(model=dict(vit=dict(arch=arch)), train_dataloader=dict(dataset=dict(img_size=size))))
    with pytest.raises(UserError, match=f'is not divisible by patch_size .*: choose a multiple, e.g. {advice}$'):
        check_image_sizes(cfg, 'train')


def labelled(root, num_classes: int) -> Config:
    return Config(
        dict(
            default_scope='mae_transfer',
            model=dict(num_classes=num_classes),
            train_dataloader=dict(dataset=dict(LABELLED, data_root=str(root))),
            val_dataloader=dict(dataset=dict(LABELLED, data_root=str(root), split='val')),
        )
    )


def test_the_data_s_classes_are_the_model_s(tmp_path):
    for name in ('train/cat', 'train/dog', 'val/cat', 'val/dog'):
        photo_folder(tmp_path / name, 1)
    check_classes(labelled(tmp_path, 2))
    with pytest.raises(
        UserError,
        match='the data has 2 classes, the model has num_classes=1000: choose --cfg-options model.num_classes=2',
    ):
        check_classes(labelled(tmp_path, 1000))
    photo_folder(tmp_path / 'val' / 'cow', 1)
    with pytest.raises(UserError, match=r'classes of train \(2\) and val \(3\) differ: 1 only in val \(cow\)'):
        check_classes(labelled(tmp_path, 2))


def test_data_without_labels_have_no_classes_to_compare():
    check_classes(
        Config(
            dict(
                default_scope='mae_transfer',
                model=dict(),
                train_dataloader=dict(dataset=dict(type='Photos', data_root='nowhere')),
            )
        )
    )


def test_a_subclass_of_a_labelled_data_set_is_compared_too(tmp_path):
    @DATASETS.register_module(force=True)
    class MyPhotos(LabelledPhotos):
        pass

    for name in ('train/cat', 'train/dog', 'val/cat'):
        photo_folder(tmp_path / name, 1)
    cfg = labelled(tmp_path, 2)
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        loader.dataset = dict(type='RepeatDataset', times=2, dataset=dict(loader.dataset, type='MyPhotos'))
    with pytest.raises(UserError, match=r'classes of train \(2\) and val \(1\) differ'):
        check_classes(cfg)


def test_each_of_several_roots_is_looked_for(coco):
    roots = [str(coco), str(coco / 'nowhere')]
    with pytest.raises(UserError, match='nowhere does not exist'):
        check_data(loader(data_root=roots), 'train')


def test_images_are_evaluated_by_their_own_annotations(coco):
    (coco / 'other.json').write_text('{}')
    dataset = dict(type='CocoDataset', data_root=str(coco), ann_file='labels.json')
    cfg = Config(
        dict(val_dataloader=dict(dataset=dataset), val_evaluator=[dict(type='CocoAP', ann_file=f'{coco}/labels.json')])
    )
    check_data(cfg, 'val')
    cfg.val_evaluator[0].ann_file = f'{coco}/other.json'
    with pytest.raises(
        UserError, match='val_evaluator.ann_file is .*other.json, but the images are those of .*labels.json'
    ):
        check_data(cfg, 'val')


# --- settings that do not exist ---------------------------------------------------------------------------------------
def test_settings_that_exist_pass():
    check_settings(read_config(CONFIGS / 'mae_pretrain_vitb.py'))


@pytest.mark.parametrize(
    'option, words',
    [
        (
            'model.vit.drop_path=.1',
            "model.vit.drop_path: ViT has no setting 'drop_path'; did you mean model.vit.drop_path_rate",
        ),
        ('train_cfg.max_epoch=3', "train_cfg.max_epoch: EpochBasedTrainLoop has no setting 'max_epoch'"),
        ('train_dataloader.batchsize=2', "train_dataloader.batchsize: DataLoader has no setting 'batchsize'"),
        ('val_dataloader.dataset.size=2', 'val_dataloader.dataset.size: Photos has no setting'),
        ('default_hooks.fit_target.batch=3', 'default_hooks.fit_target.batch: FitTargetHook has no setting'),
        ('default_hooks.checkpoint.minuts=3', 'checkpoint.minuts: CheckpointHook has no setting .*mean .*minutes'),
        ('optim_wrapper.foo=3', 'optim_wrapper.foo: AutocastOptimWrapper has no setting'),
        ('optim_wrapper.optimizer.beta=3', 'optim_wrapper.optimizer.beta: AdamW has no setting .*mean .*betas'),
        ('param_scheduler.0.warm_up=3', 'param_scheduler.0.warm_up: WarmupCosineLR has no setting'),
        (
            'model.masking.rate=.5',
            "model.masking.rate: RandomMasking has no setting 'rate'; did you mean model.masking.ratio",
        ),
    ],
)
def test_a_setting_that_its_class_does_not_have_is_named_with_its_place(option, words):
    cfg = change_settings(read_config(CONFIGS / 'mae_pretrain_vitb.py'), [option])
    with pytest.raises(UserError, match=words) as caught:
        check_settings(cfg)
    assert '\n' not in str(caught.value)


def test_a_hook_that_is_none_is_refused():
    cfg = change_settings(read_config(CONFIGS / 'mae_pretrain_vitb.py'), ['default_hooks.foo=1'])
    with pytest.raises(UserError, match=r'default_hooks.foo is a hook, dict\(type=...\), or None for none; found 1'):
        check_parts(cfg, 'train')


# --- numbers that cannot be -------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    'config, options, words',
    [
        (
            'mae_pretrain_vitl',
            ['train_cfg.max_epochs=20'],
            r'^warmup=40 of WarmupCosineLR does not fit into the run of 20 epochs '
            r'\(train_cfg.max_epochs\): .* e.g. warmup=1$',
        ),
        (
            'mae_pretrain_vitl',
            ['max_epochs=20'],
            r'the run of 20 epochs \(max_epochs\): .* choose less, e.g. warmup=1$',
        ),
        ('mae_pretrain_vitl', ['max_epochs=40'], 'warmup=40 of WarmupCosineLR does not fit'),
        ('mae_pretrain_vitl', ['max_epochs=0'], 'max_epochs is a whole number, 1 or more; found 0'),
        ('mae_pretrain_vitl', ['max_epochs=2.5'], 'max_epochs is a whole number, 1 or more; found 2.5'),
        ('mae_pretrain_vitl', ['train_cfg.val_interval=0'], 'train_cfg.val_interval is a whole number'),
        ('mae_pretrain_vitl', ['default_hooks.checkpoint.interval=0'], 'default_hooks.checkpoint.interval is a whole'),
        ('mae_pretrain_vitl', ['warmup=-1'], 'warmup=-1: WarmupCosineLR cannot end before 0: choose more'),
        ('mae_pretrain_vitl', ['warmup=long'], 'begin and warmup are numbers; found 0 and long'),
        ('coco_maskrcnn_vitb', ['max_epochs=1', 'warmup=2'], r'e.g. warmup=0.05$'),
        (
            'ade20k_upernet_vitb',
            ['max_iters=1000'],
            r'^warmup=1500 of LinearLR .*run of 1000 iters \(max_iters\): .* e.g. warmup=50$',
        ),
        ('ade20k_upernet_vitb', ['train_cfg.max_iters=1500'], 'warmup=1500 of PolyLR does not fit'),
        ('coco_vitdet_vitb', ['param_scheduler.0.end=200000'], 'param_scheduler.0.end=200000 of LinearLR does not fit'),
        ('small/overfit_ade', ['warmup=400'], 'warmup=400 of WarmupCosineLR does not fit'),
        ('ade20k_upernet_vitb', ['warmup=1'], 'warmup=1: LinearLR cannot end before 2: choose more'),
    ],
)
def test_a_schedule_that_does_not_fit_into_the_run_is_refused_with_what_would(config, options, words):
    with pytest.raises(UserError, match=words) as caught:
        check_length(read_config(CONFIGS / f'{config}.py', options))
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize(
    'config, options',
    [
        ('mae_pretrain_vitl', ['max_epochs=20', 'warmup=1']),
        ('mae_pretrain_vitl', ['max_epochs=41']),
        ('mae_pretrain_vitl', ['max_epochs=1', 'warmup=.5']),
        ('mae_pretrain_vitl', ['default_hooks.checkpoint.interval=-1']),
        ('coco_vitdet_vitb', ['max_iters=10']),
        ('ade20k_upernet_vitb', ['max_iters=1000', 'warmup=50']),
    ],
)
def test_what_a_refusal_advises_and_what_fits_passes(config, options):
    check_length(read_config(CONFIGS / f'{config}.py', options))


@pytest.mark.parametrize('workers', [-1, 1.5, 'many'])
def test_workers_are_a_whole_number_of_processes(workers):
    cfg = Config(dict(model=dict(), train_dataloader=dict(batch_size=4, num_workers=workers)))
    with pytest.raises(UserError, match=f'num_workers is a whole number of processes, 0 or more; found {workers}'):
        check_loaders(cfg, 'train')


@pytest.mark.parametrize('batch, fits', [(1, False), (2, True)])
def test_a_probe_s_batch_norm_needs_two_images(batch, fits):
    cfg = read_config(CONFIGS / 'in1k_linprobe_vitb.py', [f'train_dataloader.batch_size={batch}'])
    if fits:
        return check_batch_norm(cfg, 1)
    with pytest.raises(UserError, match='model.batch_norm needs two images in each process: choose train_dataloader'):
        check_batch_norm(cfg, 8)
