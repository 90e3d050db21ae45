"""The lines of docs/python.md, run as they are but for their sizes."""

import re

import pytest
import torch

import mae_transfer
from mae_transfer.api.recipes import METHODS, RECIPES, finetuning_config, pretraining_config
from tests.api.test_training import ARCH, DECODER, DETECTOR, NO_WORKERS
from tests.docs.documents import REPOSITORY
from tests.helpers import photo_folder
from tests.own_data import write_coco

TEXT = (REPOSITORY / 'docs/python.md').read_text()


def test_the_first_lines(tmp_path, monkeypatch, capsys):
    torch.manual_seed(0)
    code = re.search(r'```python\n(import mae_transfer\n.*?)```', TEXT, re.DOTALL)[1]
    assert len([line for line in code.splitlines() if line]) <= 6
    photo_folder(tmp_path / 'data/photos', 16)
    write_coco(tmp_path / 'data/boxes')
    pretrain, finetune, test = mae_transfer.pretrain, mae_transfer.finetune, mae_transfer.test

    def small_pretrain(data, out, arch, **settings):
        small = dict(image_size=32, max_epochs=1, cfg_options=DECODER, **NO_WORKERS)
        return pretrain(data, out, ARCH, **{**settings, **small})

    monkeypatch.setattr(mae_transfer, 'pretrain', small_pretrain, raising=False)
    monkeypatch.setattr(
        mae_transfer, 'finetune', lambda *words, **settings: finetune(*words, **{**settings, **DETECTOR}), raising=False
    )
    monkeypatch.setattr(mae_transfer, 'test', lambda *words: test(*words, **NO_WORKERS), raising=False)
    monkeypatch.chdir(tmp_path)
    exec(compile(code, 'python.md', 'exec'), {})
    printed = capsys.readouterr().out.splitlines()
    shown = [line for line in printed if re.match(r'coco_maskrcnn_vitb: .*coco/bbox_mAP', line)]
    assert len(shown) == 2 and shown[0] == shown[1]


@pytest.mark.parametrize('arch', ['base', 'large', 'huge'])
def test_every_config_that_a_call_can_stand_on_is_named(arch):
    rows = re.sub(
        r'`(\w+)\{([bhl,]+)\}(\w*)`',
        lambda row: ' '.join(f'{row[1]}{letter}{row[3]}' for letter in row[2].split(',')),
        TEXT[TEXT.index('| call |') : TEXT.index('The first recipe of a task')],
    )
    names = [pretraining_config(method, recipe, arch) for method, recipes in METHODS.items() for recipe in recipes]
    names += [
        finetuning_config(task, recipe, arch)
        for task, recipes in RECIPES.items()
        for recipe in recipes
        if recipe not in ('fastprobe', 'knn')
    ]
    assert all(re.search(rf'\b{name}\b', rows) for name in names)


def test_the_calls_are_listed_and_others_are_none():
    assert {'pretrain', 'finetune', 'test'} <= set(mae_transfer.__all__) & set(dir(mae_transfer))
    with pytest.raises(AttributeError, match="module 'mae_transfer' has no attribute 'train'"):
        _ = mae_transfer.train
