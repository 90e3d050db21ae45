"""Which packaged config a call stands on."""

import pytest

from mae_transfer.api.recipes import METHODS, RECIPES, finetuning_config, pretraining_config
from mae_transfer.compat.package_configs import config_path
from mae_transfer.errors import UserError


@pytest.mark.parametrize(
    'method, arch, expected',
    [
        ('mae', 'base', 'mae_pretrain_vitb'),
        ('mae', 'huge', 'mae_pretrain_vith'),
        ('mae', '192x5x3', 'mae_pretrain_vitb'),
        ('mae', 'small', 'mae_pretrain_vitb'),
        ('beit', 'large', 'beit_pretrain_vitl'),
        ('beit', 'huge', 'beit_pretrain_vitb'),  # there is none for ViT-H
        ('mocov3', 'large', 'mocov3_pretrain_vitl'),
    ],
)
def test_a_pretraining_stands_on_the_config_of_its_size(method, arch, expected):
    assert pretraining_config(method, arch) == expected


@pytest.mark.parametrize(
    'task, recipe, arch, expected',
    [
        ('detect', None, 'base', 'coco_maskrcnn_vitb'),
        ('detect', 'vitdet', 'huge', 'coco_vitdet_vith'),
        ('detect', 'cascade', 'large', 'coco_vitdet_cascade_vitl'),
        ('detect', 'maskrcnn', 'huge', 'coco_maskrcnn_vitb'),
        ('segment', None, 'large', 'ade20k_upernet_vitl'),
        ('segment', 'upernet_640', 'huge', 'ade20k_upernet_vith_640'),
        ('classify', None, 'tiny', 'in1k_finetune_vitb'),
        ('classify', 'knn', 'large', 'in1k_knn_vitl'),
    ],
)
def test_a_transfer_stands_on_the_config_of_its_size(task, recipe, arch, expected):
    assert finetuning_config(task, recipe, arch) == expected


def test_every_config_that_can_be_chosen_is_there():
    for arch in ('base', 'large', 'huge', '96x2x3'):
        names = [pretraining_config(method, arch) for method in METHODS]
        names += [finetuning_config(task, recipe, arch) for task, recipes in RECIPES.items() for recipe in recipes]
        assert all(config_path(f'{name}.py').is_file() for name in names)


def test_other_names_are_refused_with_those_that_there_are():
    with pytest.raises(UserError, match="method is one of mae, mocov3, beit; found 'simclr'"):
        pretraining_config('simclr', 'base')
    with pytest.raises(UserError, match="task is one of detect, segment, classify; found 'detection'"):
        finetuning_config('detection', None, 'base')
    with pytest.raises(UserError, match="recipe of task 'segment' is one of upernet, upernet_640; found 'vitdet'"):
        finetuning_config('segment', 'vitdet', 'base')
