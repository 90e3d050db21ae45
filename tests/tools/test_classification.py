"""The tools on every reading by classification: train, judge, on one process and on two; what is refused."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import numpy as np
import pytest
import timm
import torch
from mmengine.config import Config
from PIL import Image

from mae_transfer.registry import MODELS
from mae_transfer.vit.checkpoint import read_checkpoint
from tests.tools.commands import ARCH, REPOSITORY, call, checkpoint, error_line, largest_difference, run, small, train

CONFIGS = REPOSITORY / 'configs'
FINETUNE, LINPROBE, PARTIAL, SCRATCH, KNN, FASTPROBE = (
    CONFIGS / f'in1k_{name}.py'
    for name in ('finetune_vitb', 'linprobe_vitb', 'partial_vitl', 'scratch_vitb', 'knn_vitb', 'fastprobe_vitb')
)
CLASSES = dict(blue=(40, 60, 200), green=(60, 180, 50), red=(200, 50, 40))


def write_classes(folder, counts: dict[str, int], seed: int) -> None:
    """Images of 40 x 40 pixels in a folder for each class: its colour, with noise."""
    rng = np.random.default_rng(seed)
    for name, count in counts.items():
        (folder / name).mkdir(parents=True)
        for i in range(count):
            pixels = np.clip(np.array(CLASSES.get(name, (99, 99, 99))) + rng.normal(0, 40, (40, 40, 3)), 0, 255).astype(
                np.uint8
            )
            Image.fromarray(pixels).save(folder / name / f'{i}.png')


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    """24 images of three classes to train on; 7 to validate on, which no even number of processes divides."""
    folder = tmp_path_factory.mktemp('classes')
    write_classes(folder / 'train', dict(blue=8, green=8, red=8), 0)
    write_classes(folder / 'val', dict(blue=3, green=2, red=2), 1)
    return folder


def options(data, batch: int = 8, epochs: int = 1, **changes) -> list[str]:
    """Options that make a classification config's run small: three steps of eight images an epoch."""
    settings = dict(
        data_root=data,
        total_batch_size=8,
        base_lr=0.1,
        pretrained='none',
        model__num_classes=3,
        model__vit__arch=ARCH,
        model__vit__img_size=32,
        model__vit__patch_size=8,
        train_dataloader__batch_size=batch,
        train_cfg__max_epochs=epochs,
        param_scheduler__0__warmup=0.5,
        param_scheduler__0__end=epochs,
        default_hooks__checkpoint__interval=1,
        default_hooks__logger__interval=1,
        optim_wrapper__dtype='float32',
    )
    for loader in ('train', 'val', 'test'):
        settings.update({f'{loader}_dataloader__num_workers': 0, f'{loader}_dataloader__persistent_workers': False})
    settings.update(val_dataloader__batch_size=4, test_dataloader__batch_size=4)
    return _list({**settings, **changes})


def reading(data, **changes) -> list[str]:
    """The same for k-NN and the fast probe."""
    return _list(
        {
            **dict(
                data_root=data,
                model__vit__arch=ARCH,
                model__vit__img_size=32,
                model__vit__patch_size=8,
                test_dataloader__num_workers=0,
                test_dataloader__batch_size=4,
                test_cfg__train_dataloader__num_workers=0,
                test_cfg__train_dataloader__batch_size=5,
                test_cfg__dtype='float32',
            ),
            **changes,
        }
    )


def _list(settings: dict) -> list[str]:
    return [
        '--cfg-options',
        *(f'{name.replace("__", ".")}={value}' for name, value in settings.items() if value is not None),
    ]


def metrics(work_dir) -> dict[str, float]:
    """What a test wrote, in full precision."""
    (file,) = work_dir.glob('*/*.json')
    return json.loads(file.read_text())


@pytest.fixture(scope='module')
def tuned(tmp_path_factory, data):
    """work_dir of a fine-tuning of four epochs."""
    folder = tmp_path_factory.mktemp('tuned')
    ended = train(
        FINETUNE,
        '--work-dir',
        folder,
        *options(data, epochs=4, train_cfg__val_interval=4, model__data_preprocessor__mixup=None),
    )
    assert 'batch 8 = 8 images x 1 process x 1 accumulated' in ended.out
    return folder


@pytest.fixture(scope='module')
def pretrained(tmp_path_factory, data):
    """work_dir of an MAE pre-training on the same images."""
    folder = tmp_path_factory.mktemp('mae')
    train(CONFIGS / 'mae_pretrain_vitb.py', '--work-dir', folder, '--amp', 'off', *small(data, 8, 2))
    return folder


# Training


@pytest.mark.parametrize(
    'config, changes',
    [
        (FINETUNE, {}),
        (PARTIAL, dict(model__tuned_blocks=0.5)),
        (PARTIAL, dict(model__tuned_blocks=1)),
        (LINPROBE, {}),
        (SCRATCH, {}),
    ],
    ids=['fine-tuning', 'half a block', 'one block', 'linear probe', 'scratch'],
)
def test_every_protocol_trains_saves_and_is_judged_alike(config, changes, data, tmp_path):
    made_small = options(data, **changes)
    ended = train(config, '--work-dir', tmp_path / 'run', *made_small)
    validated = re.search(r'Epoch\(val\) .*accuracy/top1: ([\d.]+)', ended.out)
    again = call('test', config, tmp_path / 'run', '--work-dir', tmp_path / 'test', *made_small)
    assert again.code == 0, again.err
    assert metrics(tmp_path / 'test')['accuracy/top1'] == pytest.approx(float(validated[1]), abs=1e-4)


def test_fine_tuning_starts_from_a_work_dir_of_pretraining_and_says_so(pretrained, data, tmp_path):
    ended = train(FINETUNE, '--work-dir', tmp_path, *options(data, pretrained=pretrained))
    assert re.search(r'ViT: loaded \d+ of \d+ weights from .*epoch_2.pth', ended.out)
    assert 'head starts from random weights: the checkpoint has none' in ended.out


def test_half_a_block_changes_the_last_mlp_and_the_head_alone(pretrained, data, tmp_path):
    train(PARTIAL, '--work-dir', tmp_path, *options(data, pretrained=pretrained, model__tuned_blocks=0.5))
    before, after = checkpoint(pretrained)['state_dict'], checkpoint(tmp_path)['state_dict']
    changed = {name for name in after if name.startswith('vit.') and not torch.equal(after[name], before[name])}
    assert changed == {
        f'vit.blocks.1.{name}'
        for name in ('norm2.weight', 'norm2.bias', 'mlp.fc1.weight', 'mlp.fc1.bias', 'mlp.fc2.weight', 'mlp.fc2.bias')
    }


def test_the_moving_average_is_what_is_saved_and_judged(data, tmp_path):
    train(SCRATCH, '--work-dir', tmp_path, *options(data, custom_hooks__4__momentum=0.5))
    saved = checkpoint(tmp_path)
    last = {
        name.removeprefix('module.'): value
        for name, value in saved['ema_state_dict'].items()
        if name.startswith('module.')
    }
    assert largest_difference(saved['state_dict'], last) > 1e-4


def test_the_last_batch_of_a_training_is_the_same_on_two_processes(data, tmp_path):
    """The same global batches: without mixing and erasing, which each process does its own way, the same weights."""
    plain = dict(model__data_preprocessor="{'type':'LabelledPreprocessor'}", model__vit__drop_path_rate=0.0)
    train(FINETUNE, '--work-dir', tmp_path / 'one', *options(data, 8, **plain))
    ended = run('dist_train.sh', FINETUNE, 2, '--work-dir', tmp_path / 'two', *options(data, 4, **plain))
    assert ended.code == 0, ended.err
    one, two = (checkpoint(tmp_path / name)['state_dict'] for name in ('one', 'two'))
    # The keys' biases have gradients that are rounding errors, which Adam makes full steps of.
    one, two = ({name: value for name, value in state.items() if 'qkv.bias' not in name} for state in (one, two))
    assert largest_difference(one, two) < 1e-5


@pytest.mark.parametrize(
    'config', [FINETUNE, SCRATCH, LINPROBE], ids=['fine-tuning', 'with a moving average', 'linear probe']
)
def test_a_run_that_was_stopped_goes_on_as_if_it_had_not_been(config, data, tmp_path):
    # Mixing and stochastic depth draw from the process's generator, which no checkpoint holds.
    whole = options(
        data, epochs=3, model__data_preprocessor="{'type':'LabelledPreprocessor'}", model__vit__drop_path_rate=0.0
    )
    train(config, '--work-dir', tmp_path / 'whole', *whole)
    train(config, '--work-dir', tmp_path / 'stopped', *whole, 'train_cfg.max_epochs=2')
    train(config, '--work-dir', tmp_path / 'stopped', '--resume', *whole)
    assert largest_difference(*(checkpoint(tmp_path / name)['state_dict'] for name in ('whole', 'stopped'))) == 0


def test_two_processes_of_a_linear_probe_judge_by_the_same_running_statistics(data, tmp_path):
    """Each has its own while it trains; what is validated must be what is saved."""
    ended = run('dist_train.sh', LINPROBE, 2, '--work-dir', tmp_path / 'run', *options(data, 4, base_lr=10.0))
    assert ended.code == 0, ended.err
    validated = re.search(r'Epoch\(val\) .*accuracy/top1: ([\d.]+)', ended.out)
    again = call('test', LINPROBE, tmp_path / 'run', '--work-dir', tmp_path / 'test', *options(data))
    assert again.code == 0, again.err
    assert metrics(tmp_path / 'test')['accuracy/top1'] == pytest.approx(float(validated[1]), abs=1e-4)
    trained = checkpoint(tmp_path / 'run')['state_dict']
    assert trained['head_norm.running_mean'].any() and trained['head_norm.running_var'].ne(1).any()


# Judging


def test_the_classes_of_colours_are_learnt(tuned, data, tmp_path):
    ended = call('test', FINETUNE, tuned, '--work-dir', tmp_path, '--per-class', *options(data))
    assert ended.code == 0, ended.err
    assert metrics(tmp_path)['accuracy/top1'] > 70
    for name in CLASSES:
        assert re.search(rf'^{name} +[23] ', ended.out, re.M), 'the table of classes'
    assert list(tmp_path.glob('*/confusion.png')) and list(tmp_path.glob('*/confusion.csv'))


def test_two_processes_have_the_accuracy_of_one_on_seven_images(tuned, data, tmp_path):
    assert call('test', FINETUNE, tuned / 'epoch_3.pth', '--work-dir', tmp_path / 'one', *options(data)).code == 0
    ended = run('dist_test.sh', FINETUNE, tuned / 'epoch_3.pth', 2, '--work-dir', tmp_path / 'two', *options(data))
    assert ended.code == 0, ended.err
    one, two = metrics(tmp_path / 'one'), metrics(tmp_path / 'two')
    print(f'\ntop-1 of 7 images: one process {one["accuracy/top1"]:.6f}, two {two["accuracy/top1"]:.6f}')
    assert {name: value for name, value in two.items() if 'accuracy' in name} == {
        name: value for name, value in one.items() if 'accuracy' in name
    }
    tables = [next((tmp_path / name).glob('*/confusion.csv')).read_text() for name in ('one', 'two')]
    assert tables[0] == tables[1] and sum(map(int, re.findall(r'\d+', tables[0]))) == 7


@pytest.mark.parametrize(
    'config, changes, names',
    [
        (KNN, dict(test_cfg__ks='[3,10]'), ['knn/top1_k3', 'knn/top5_k10']),
        (
            FASTPROBE,
            dict(test_cfg__epochs=5, test_cfg__batch_size=8),
            ['probe/top1', 'probe/lr', 'probe/held_out_top1'],
        ),
    ],
    ids=['k-NN', 'fast probe'],
)
def test_protocols_without_training_judge_a_pretraining_on_two_processes_as_on_one(
    config, changes, names, pretrained, data, tmp_path
):
    one = call('test', config, pretrained, '--work-dir', tmp_path / 'one', *reading(data, **changes))
    assert one.code == 0, one.err
    assert re.search(r'ViT: loaded \d+ of \d+ weights from .*epoch_2.pth', one.out)
    two = run('dist_test.sh', config, pretrained, 2, '--work-dir', tmp_path / 'two', *reading(data, **changes))
    assert two.code == 0, two.err
    found, expected = (
        {key: value for key, value in metrics(tmp_path / name).items() if '/' in key} for name in ('two', 'one')
    )
    assert found == pytest.approx(expected) and set(names) <= set(found)


def test_random_weights_are_judged_by_name(data, tmp_path):
    ended = call('test', KNN, 'none', '--work-dir', tmp_path, *reading(data, test_cfg__ks='[3]'))
    assert ended.code == 0, ended.err
    assert 'ViT starts from random weights' in ended.out


def official(tuned, tmp_path, **changes) -> str:
    """The fine-tuned model as a file of the official code."""
    state = {name.removeprefix('vit.'): value for name, value in checkpoint(tuned)['state_dict'].items()}
    torch.save(dict(model={**state, **changes}), tmp_path / 'official.pth')
    return str(tmp_path / 'official.pth')


@pytest.mark.parametrize('config', [FINETUNE, SCRATCH], ids=['fine-tuning', 'with a moving average'])
def test_a_fine_tuned_file_of_the_official_code_is_judged_like_our_own(config, tuned, data, tmp_path):
    assert call('test', FINETUNE, tuned, '--work-dir', tmp_path / 'ours', *options(data)).code == 0
    ended = call('test', config, official(tuned, tmp_path), '--work-dir', tmp_path / 'official', *options(data))
    assert ended.code == 0, ended.err
    assert metrics(tmp_path / 'official')['accuracy/top1'] == metrics(tmp_path / 'ours')['accuracy/top1']


def test_a_fine_tuned_classifier_is_converted_with_its_head(tuned, tmp_path):
    tool = REPOSITORY / 'tools' / 'convert_checkpoint.py'
    subprocess.run(
        [sys.executable, tool, tuned, tmp_path / 'timm.safetensors', '--to', 'timm'], check=True, capture_output=True
    )
    model = timm.create_model(
        'vit_base_patch16_224',
        num_classes=3,
        global_pool='avg',
        img_size=32,
        patch_size=8,
        embed_dim=32,
        depth=2,
        num_heads=2,
    )
    model.load_state_dict(read_checkpoint(tmp_path / 'timm.safetensors'))
    cfg = Config.fromfile(FINETUNE)
    ours = MODELS.build(
        dict(
            cfg.model,
            num_classes=3,
            vit=dict(cfg.model.vit, arch=dict(embed_dim=32, depth=2, num_heads=2), img_size=32, patch_size=8),
        )
    )
    ours.load_state_dict(checkpoint(tuned)['state_dict'])
    images = torch.randn(2, 3, 32, 32)
    assert torch.allclose(model.eval()(images), ours.eval()(images, mode='tensor'), atol=1e-5)


# Under shift

WNIDS = ('n01440764', 'n01443537', 'n02123045')


def shifted(root, names=WNIDS):
    write_classes(root, {name: 2 for name in names}, 3)
    return root


@pytest.fixture(scope='module')
def imagenet_model(tmp_path_factory):
    cfg = Config.fromfile(FINETUNE)
    torch.manual_seed(0)
    vit = dict(cfg.model.vit, arch=dict(embed_dim=32, depth=2, num_heads=2), img_size=32, patch_size=8)
    model = MODELS.build(dict(cfg.model, vit=vit, head_std=1.0))
    folder = tmp_path_factory.mktemp('imagenet')
    torch.save(dict(state_dict=model.state_dict()), folder / 'model.pth')
    return str(folder / 'model.pth')


def shift_options() -> list[str]:
    return _list(
        dict(
            model__vit__arch=ARCH,
            model__vit__img_size=32,
            model__vit__patch_size=8,
            test_dataloader__num_workers=0,
            test_dataloader__persistent_workers=False,
            test_dataloader__batch_size=4,
        )
    )


@pytest.mark.parametrize('name', ['imagenet-a', 'imagenet-r', 'imagenet-sketch', 'imagenet-v2'])
def test_a_shifted_set_of_some_classes_is_judged_among_these(name, imagenet_model, tmp_path):
    folder = shifted(tmp_path / 'set')
    ended = call(
        'test',
        FINETUNE,
        imagenet_model,
        '--work-dir',
        tmp_path / 'run',
        '--shift',
        f'{name}={folder}',
        *shift_options(),
    )
    assert ended.code == 0, ended.err
    # Among three classes one of six images is right by chance; among a thousand none would be.
    assert metrics(tmp_path / 'run')['accuracy/top1'] > 0


def test_corrupted_images_are_judged_by_their_mean_error(imagenet_model, tmp_path):
    for corruption in ('fog', 'snow'):
        for severity in range(1, 6):
            shifted(tmp_path / 'c' / corruption / str(severity), WNIDS[:1])
    ended = call(
        'test',
        FINETUNE,
        imagenet_model,
        '--work-dir',
        tmp_path / 'run',
        '--shift',
        f'imagenet-c={tmp_path / "c"}',
        *shift_options(),
        "test_dataloader.dataset.corruptions=['fog','snow']",
    )
    assert ended.code == 0, ended.err
    found = metrics(tmp_path / 'run')
    errors = {name: found[f'imagenet_c/error_{name}'] for name in ('fog', 'snow')}
    alexnet = dict(fog=0.819324, snow=0.866816)
    assert found['imagenet_c/mce_of_2'] == pytest.approx(sum(errors[name] / alexnet[name] for name in errors) / 2)


# What is refused


def refused(data, *arguments, **changes) -> str:
    return error_line(call('train', FINETUNE, *arguments, *options(data, **changes)))


def test_other_classes_in_val_than_in_train(tmp_path, data):
    write_classes(tmp_path / 'train', dict(blue=8, green=8, red=8), 0)
    write_classes(tmp_path / 'val', dict(blue=3, green=2, yellow=2), 1)
    assert refused(tmp_path) == (
        'error: the classes of train (3) and val (3) differ: 1 only in train (red) and 1 only in val (yellow)'
    )


def test_another_number_of_classes_than_the_model_s(data):
    assert refused(data, model__num_classes=1000) == (
        'error: the data has 3 classes, the model has num_classes=1000: choose --cfg-options model.num_classes=3'
    )


def test_labels_out_of_range(data, tmp_path):
    (tmp_path / 'list.txt').write_text('train/blue/0.png 0\ntrain/red/0.png 3\n')
    line = refused(
        data,
        train_dataloader__dataset__ann_file=tmp_path / 'list.txt',
        train_dataloader__dataset__classes="['a','b','c']",
    )
    assert line.endswith('list.txt, line 2: label 3 is out of range: 3 classes have the labels 0 to 2')


def test_fewer_images_than_neighbours(data, pretrained, tmp_path):
    line = error_line(call('test', KNN, pretrained, '--work-dir', tmp_path, *reading(data)))
    assert line == 'error: k=200 needs at least 200 training images; found 24: choose test_cfg.ks'


def test_a_checkpoint_for_other_classes(tuned, data, tmp_path):
    ended = train(
        FINETUNE,
        '--work-dir',
        tmp_path / 'run',
        *options(
            data,
            pretrained=official(tuned, tmp_path, **{'head.weight': torch.zeros(7, 32), 'head.bias': torch.zeros(7)}),
        ),
    )
    assert "head starts from random weights: the checkpoint's is for 7 classes, the model has 3" in ended.out
    line = error_line(
        call('test', FINETUNE, tmp_path / 'official.pth', '--work-dir', tmp_path / 'test', *options(data))
    )
    assert line.endswith(
        "the checkpoint's is for 7 classes, the model has 3; choose a fine-tuned checkpoint for this config"
    )


def test_an_odd_batch_to_mix(data):
    line = refused(data, batch=3, total_batch_size=3)
    assert (
        line
        == 'error: mixup and cutmix pair the images of a batch: choose an even train_dataloader.batch_size; found 3'
    )


def test_an_unreadable_image_to_judge(tuned, tmp_path, data):
    write_classes(tmp_path / 'val', dict(blue=1, green=1, red=1), 1)
    (tmp_path / 'val' / 'red' / '0.png').write_bytes(b'no image')
    line = error_line(call('test', FINETUNE, tuned, '--work-dir', tmp_path / 'run', *options(tmp_path)))
    assert line.endswith('val/red/0.png cannot be read as an image: an evaluation leaves no image out; restore it')


@pytest.mark.parametrize(
    'shift, words',
    [
        ('imagenet-z=x', 'give SET=FOLDER with one of imagenet-a'),
        ('imagenet-a', 'give SET=FOLDER'),
        ('imagenet-a=x', 'model.num_classes=1000; found 3'),
    ],
)
def test_a_shift_that_cannot_be(shift, words, tuned, data, tmp_path):
    assert words in error_line(call('test', FINETUNE, tuned, '--work-dir', tmp_path, '--shift', shift, *options(data)))


def test_a_table_of_classes_where_there_are_none(data, pretrained, tmp_path):
    line = error_line(call('test', KNN, pretrained, '--work-dir', tmp_path, '--per-class', *reading(data)))
    assert "--per-class needs test_evaluator.type='Accuracy'" in line
