"""Mistakes in the data, settings and checkpoints of classification end the tools with one line."""

from __future__ import annotations

import os
import shutil

import pytest
import torch

from tests.tools.classification import FINETUNE, KNN, class_options, feature_options, official_file, write_classes
from tests.tools.commands import call, error_line, train


def refused(class_photos, *arguments, **changes) -> str:
    return error_line(call('train', FINETUNE, *arguments, *class_options(class_photos, **changes)))


def test_different_classes_in_train_and_val(tmp_path, class_photos):
    write_classes(tmp_path / 'train', dict(blue=8, green=8, red=8), 0)
    write_classes(tmp_path / 'val', dict(blue=3, green=2, yellow=2), 1)
    assert refused(tmp_path) == (
        'error: the classes of train (3) and val (3) differ: 1 only in train (red) and 1 only in val (yellow)'
    )


def test_another_number_of_classes_than_that_of_the_model(class_photos):
    assert refused(class_photos, model__num_classes=1000) == (
        'error: the data has 3 classes, the model has num_classes=1000: choose --cfg-options model.num_classes=3'
    )


def test_labels_out_of_range(class_photos, tmp_path):
    (tmp_path / 'list.txt').write_text('train/blue/0.png 0\ntrain/red/0.png 3\n')
    line = refused(
        class_photos,
        train_dataloader__dataset__ann_file=tmp_path / 'list.txt',
        train_dataloader__dataset__classes="['a','b','c']",
    )
    assert line.endswith(
        'list.txt, line 2: label 3 is out of range: 3 classes have the labels 0 to 2; are they numbered from 1?'
    )


def test_fewer_images_than_neighbours(class_photos, pretrained, tmp_path):
    line = error_line(call('test', KNN, pretrained, '--work-dir', tmp_path, *feature_options(class_photos)))
    assert line == 'error: k=200 needs at least 200 training images; found 24: choose test_cfg.ks'


def test_a_checkpoint_for_other_classes(finetuned, class_photos, tmp_path):
    head = {'head.weight': torch.zeros(7, 32), 'head.bias': torch.zeros(7)}
    weights = official_file(finetuned, tmp_path, **head)
    ended = train(FINETUNE, '--work-dir', tmp_path / 'run', *class_options(class_photos, pretrained=weights))
    assert "head starts from random weights: the checkpoint's head is for 7 classes, the model has 3" in ended.out
    line = error_line(call('test', FINETUNE, weights, '--work-dir', tmp_path / 'test', *class_options(class_photos)))
    assert line.endswith(
        "the checkpoint's head is for 7 classes, the model has 3; choose a fine-tuned checkpoint for this config"
    )


def test_an_odd_batch_with_mixup(class_photos):
    line = refused(class_photos, batch=3, total_batch_size=3)
    assert line == (
        'error: mixup and cutmix pair the images of a batch: choose an even train_dataloader.batch_size; found 3'
    )


def test_an_unreadable_image_in_an_evaluation(finetuned, tmp_path, class_photos):
    write_classes(tmp_path / 'val', dict(blue=1, green=1, red=1), 1)
    (tmp_path / 'val' / 'red' / '0.png').write_bytes(b'no image')
    line = error_line(call('test', FINETUNE, finetuned, '--work-dir', tmp_path / 'run', *class_options(tmp_path)))
    assert line.endswith('val/red/0.png cannot be read as an image: an evaluation leaves no image out; restore it')


@pytest.mark.parametrize(
    'shift, words',
    [
        ('imagenet-z=x', 'give SET=FOLDER with one of imagenet-a'),
        ('imagenet-a', 'give SET=FOLDER'),
        ('imagenet-a=x', 'model.num_classes=1000; found 3'),
    ],
)
def test_an_impossible_shift(shift, words, finetuned, class_photos, tmp_path):
    arguments = ['--work-dir', tmp_path, '--shift', shift, *class_options(class_photos)]
    assert words in error_line(call('test', FINETUNE, finetuned, *arguments))


def test_per_class_accuracy_of_a_protocol_on_features(class_photos, pretrained, tmp_path):
    arguments = ['--work-dir', tmp_path, '--per-class', *feature_options(class_photos)]
    line = error_line(call('test', KNN, pretrained, *arguments))
    assert "--per-class needs test_evaluator.type='Accuracy'" in line


def test_the_advice_for_a_class_that_val_lacks_works(class_photos, tmp_path):
    shutil.copytree(class_photos, tmp_path / 'data')
    shutil.rmtree(tmp_path / 'data' / 'val' / 'green')
    line = error_line(call('train', FINETUNE, '--work-dir', tmp_path / 'run', *class_options(tmp_path / 'data')))
    advice = 'classes=blue,green,red'
    assert line.endswith(f'if val has no images of the others, name all classes: --cfg-options {advice}')
    ended = call('train', FINETUNE, '--work-dir', tmp_path / 'run', *class_options(tmp_path / 'data'), advice)
    assert ended.code == 0, ended.err


def test_folders_and_files_whose_names_are_not_utf_8(class_photos, tmp_path):
    name = os.fsdecode(b'caf\xe9')
    data = tmp_path / name
    shutil.copytree(class_photos, data)
    for split in ('train', 'val'):
        (data / split / 'red').rename(data / split / name)
    (data / 'train' / name / f'{name}.png').write_bytes(b'damaged')
    ended = call('train', FINETUNE, '--work-dir', tmp_path / 'run', *class_options(data))
    assert ended.code == 0 and 'unreadable image skipped: caf\\xe9/caf\\xe9.png' in ended.out, ended.err
    ended = call(
        'test', FINETUNE, tmp_path / 'run', '--per-class', '--work-dir', tmp_path / 'test', *class_options(data)
    )
    assert ended.code == 0 and '\ncaf\\xe9 ' in ended.out, ended.err
    assert 'caf\\xe9' in next((tmp_path / 'test').rglob('confusion.csv')).read_text(encoding='utf-8')
