"""Which packaged config a call stands on."""

import pytest

from mae_transfer.api.recipes import METHODS, RECIPES, finetuning_config, pretraining_config
from mae_transfer.compat.package_configs import config_path
from mae_transfer.errors import UserError


@pytest.mark.parametrize(
    'method, recipe, arch, expected',
    [
        ('mae', None, None, 'mae_pretrain_vitb'),
        ('mae', None, 'base', 'mae_pretrain_vitb'),
        ('mae', 'paper', 'huge', 'mae_pretrain_vith'),
        ('mae', None, '192x5x3', 'mae_pretrain_vitb'),
        ('mae', None, 'small', 'mae_pretrain_vitb'),
        ('mae', 'small', None, 'small/mae_pretrain'),
        ('mae', 'small', 'large', 'small/mae_pretrain'),
        ('beit', None, 'large', 'beit_pretrain_vitl'),
        ('beit', None, 'huge', 'beit_pretrain_vitb'),  # there is none for ViT-H
        ('mocov3', 'paper', 'large', 'mocov3_pretrain_vitl'),
    ],
)
def test_a_pretraining_stands_on_the_config_of_its_size(method, recipe, arch, expected):
    assert pretraining_config(method, recipe, arch) == expected


@pytest.mark.parametrize(
    'task, recipe, arch, expected',
    [
        ('detect', None, 'base', 'coco_maskrcnn_vitb'),
        ('detect', 'vitdet', 'huge', 'coco_vitdet_vith'),
        ('detect', 'cascade', 'large', 'coco_vitdet_cascade_vitl'),
        ('detect', 'maskrcnn', 'huge', 'coco_maskrcnn_vitb'),
        ('detect', 'small', '192x6x3', 'small/coco_maskrcnn'),
        ('segment', 'small', None, 'small/ade20k_upernet'),
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
        names = [pretraining_config(method, recipe, arch) for method, recipes in METHODS.items() for recipe in recipes]
        names += [finetuning_config(task, recipe, arch) for task, recipes in RECIPES.items() for recipe in recipes]
        assert all(config_path(f'{name}.py').is_file() for name in names)


def test_other_names_are_refused_with_those_that_there_are():
    with pytest.raises(UserError, match="method is one of mae, mocov3, beit; found 'simclr'"):
        pretraining_config('simclr', None, 'base')
    with pytest.raises(UserError, match="recipe of method 'beit' is one of paper; found 'small'"):
        pretraining_config('beit', 'small', 'base')
    with pytest.raises(UserError, match="task is one of detect, segment, classify; found 'detection'"):
        finetuning_config('detection', None, 'base')
    with pytest.raises(
        UserError, match="recipe of task 'segment' is one of upernet, upernet_640, small; found 'vitdet'"
    ):
        finetuning_config('segment', 'vitdet', 'base')
