"""Data loaders of wrapped data sets, and several roots in a config."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
from mmengine.registry import DefaultScope
from torch.utils.data import DataLoader

from mae_transfer.data import ConcatDataset, RepeatDataset, SeededSampler
from mae_transfer.data.photos.loaders import dataset_settings, loader_settings
from mae_transfer.errors import UserError
from mae_transfer.runner import StrictRunner
from mae_transfer.settings import change_settings
from tests.configs.recipes import LOADERS, load
from tests.data.photos.wrapped import KINDS, every_kind, every_wrapper, parts_of, wrapped
from tests.own_data import CLASSES, write_coco, write_scenes


def test_each_of_several_roots_becomes_a_data_set():
    settings = dict(type='Photos', data_root=['a', 'b'], img_size=8)
    before = dict(settings)
    both = dict(
        type='mae_transfer.ConcatDataset', datasets=[dict(type='Photos', data_root=root, img_size=8) for root in 'ab']
    )
    assert dataset_settings(settings) == both and settings == before
    assert dataset_settings(dict(settings, data_root=('a', 'b'))) == both
    repeated = dict(type='RepeatDataset', times=2)
    assert dataset_settings(dict(repeated, dataset=settings)) == dict(repeated, dataset=both)
    listed = dict(type='ConcatDataset', datasets=[settings, dict(type='Photos', data_root='c')])
    assert dataset_settings(listed)['datasets'] == [both, dict(type='Photos', data_root='c')]
    assert dataset_settings(dict(settings, data_root='a')) == dict(settings, data_root='a')


def test_without_workers_the_settings_for_workers_are_removed():
    settings = dict(num_workers=0, persistent_workers=True, prefetch_factor=4, batch_size=2)
    assert loader_settings(dict(settings, pin_memory=True)) == dict(
        num_workers=0, batch_size=2, pin_memory=torch.cuda.is_available()
    )
    assert loader_settings(dict(settings, num_workers=2)) == dict(
        settings, num_workers=2, pin_memory=torch.cuda.is_available()
    )


def loader(kind: str, roots: list[str], workers: int, **changes) -> dict:
    return dict(
        batch_size=4,
        num_workers=workers,
        persistent_workers=True,
        sampler=dict(type='SeededSampler', shuffle=True),
        collate_fn=dict(type=f'mae_transfer.{KINDS[kind][1].__name__}'),
        dataset=dict(KINDS[kind][0], data_root=roots),
        **changes,
    )


def check_batches(batches: list[Mapping], kind: str, sampler: SeededSampler, places: list) -> None:
    """Assert that the batches contain every item once, with the pixels that follow from its seed."""
    keys = list(sampler)
    assert sorted(index for index, _ in keys) == list(range(len(places)))
    inputs = torch.cat([batch['inputs'] for batch in batches])
    items = [places[index][0][places[index][1], seed] for index, seed in keys]
    assert torch.equal(inputs, torch.stack([item['inputs'] for item in items]))
    if 'indices' in batches[0]:
        assert torch.cat([batch['indices'] for batch in batches]).tolist() == [index for index, _ in keys]
        assert torch.cat([batch['labels'] for batch in batches]).tolist() == [item['labels'] for item in items]
    if 'seeds' in batches[0]:
        assert torch.cat([batch['seeds'] for batch in batches]).tolist() == [seed for _, seed in keys]


@pytest.mark.filterwarnings('ignore:This DataLoader will create')  # more workers than free cores
@pytest.mark.parametrize('workers', [0, 2])
@every_wrapper
def test_a_data_loader_with_workers_and_sampler_gives_the_same_items(kind, wrapper, workers, roots):
    dataset, places = wrapped(kind, roots, wrapper)
    sampler = SeededSampler(dataset, seed=3)
    loaded = DataLoader(dataset, 4, sampler=sampler, num_workers=workers, collate_fn=KINDS[kind][1])
    check_batches(list(loaded), kind, sampler, places)


@every_kind
def test_the_runner_builds_several_roots(kind, roots):
    with DefaultScope.overwrite_default_scope('mae_transfer'):
        loaded = StrictRunner.build_dataloader(loader(kind, roots, 0), seed=3)
    assert type(loaded.dataset) is ConcatDataset
    parts = parts_of(kind, roots)
    places = [(part, index) for part in parts for index in range(len(part))]
    check_batches(list(loaded), kind, loaded.sampler, places)


def test_the_runner_builds_wrappers_of_several_roots(roots):
    settings = loader('labelled', roots, 0)
    settings['dataset'] = dict(type='RepeatDataset', times=2, dataset=settings['dataset'])
    with DefaultScope.overwrite_default_scope('mae_transfer'):
        loaded = StrictRunner.build_dataloader(settings, seed=3)
    assert type(loaded.dataset) is RepeatDataset and type(loaded.dataset.dataset) is ConcatDataset
    assert len(loaded.dataset) == 30


@pytest.mark.parametrize(
    'name', ['mae_pretrain_vitb', 'in1k_finetune_vitl', 'in1k_knn_vitb', 'small/mae_pretrain', 'tokenizer_dvae']
)
def test_the_configs_take_several_roots(name, roots):
    cfg = change_settings(load(name), [f'data_root=[{",".join(roots)}]', 'image_size=32'])
    with DefaultScope.overwrite_default_scope('mae_transfer'):
        for loader_name in LOADERS:
            if (settings := cfg[loader_name]) is not None:
                built = StrictRunner.build_dataloader(dict(settings, batch_size=2, num_workers=0, drop_last=False))
                assert [str(part.root) for part in built.dataset.datasets] == [
                    f'{root}/{settings.dataset.split}' for root in roots
                ]


# --- MMDetection's and MMSegmentation's own wrappers ------------------------------------------------------------------
def built(settings: dict) -> DataLoader:
    sampler = dict(type='DefaultSampler', shuffle=False)
    return StrictRunner.build_dataloader(dict(batch_size=1, num_workers=0, sampler=sampler, dataset=settings))


@pytest.mark.parametrize(
    'scope, name, write, size',
    [
        ('mmdet', 'coco_maskrcnn_vitb', write_coco, 'image_size=(32,32)'),
        ('mmseg', 'ade20k_upernet_vitb', write_scenes, 'crop_size=(32,32)'),
    ],
)
def test_several_roots_of_detection_and_segmentation_are_concatenated(scope, name, write, size, tmp_path):
    roots = [str(write(tmp_path / folder)) for folder in 'ab']
    cfg = change_settings(load(name), [('classes', CLASSES), size])
    settings = dict(cfg.val_dataloader.dataset, serialize_data=False)  # serialising collects garbage: .2 s
    with DefaultScope.overwrite_default_scope(scope):
        loaded = built(dict(settings, data_root=roots))
        parts = [built(dict(settings, data_root=root)).dataset for root in roots]
        repeated = built(
            dict(type='mae_transfer.RepeatDataset', times=2, dataset=dict(settings, data_root=roots))
        ).dataset
    dataset = loaded.dataset
    assert isinstance(dataset, ConcatDataset)
    assert (len(dataset), len(repeated), *map(len, parts)) == (4, 8, 2, 2)
    assert dataset.metainfo['classes'] == repeated.metainfo['classes'] == CLASSES
    # MMDetection's wrapper adds the lengths of the data sets.
    assert {key: dataset.metainfo[key] for key in parts[0].metainfo} == parts[0].metainfo
    for index, batch in enumerate(loaded):
        item, sample = parts[index // 2][index % 2], batch['data_samples'][0]
        assert torch.equal(batch['inputs'][0], item['inputs'])
        assert sample.img_path == item['data_samples'].img_path and sample.img_path.startswith(roots[index // 2])


def test_an_evaluator_s_annotations_must_belong_to_a_single_root():
    with pytest.raises(
        UserError, match='instances_val2017.json is one file, but the folder for it, data_root, is .* set'
    ):
        change_settings(load('coco_maskrcnn_vitb'), ['data_root=[a,b]'])
    cfg = change_settings(
        load('coco_maskrcnn_vitb'),
        ['data_root=[a,b]', 'val_dataloader.dataset.data_root=a', 'test_dataloader.dataset.data_root=b'],
    )
    assert cfg.train_dataloader.dataset.data_root == ['a', 'b']
    assert cfg.val_evaluator.ann_file == 'a/annotations/instances_val2017.json'
    assert cfg.test_evaluator.ann_file == 'b/annotations/instances_val2017.json'
