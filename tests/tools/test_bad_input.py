"""A user's mistake ends a tool with one line that says what is wrong and what would be right, before training
starts."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import torch

from tests.own_data import CLASSES, write_coco, write_scenes
from tests.tools.commands import ARCH, CONFIG, REPOSITORY, call, error_line, imagenet_layout, run, small, train

COCO = REPOSITORY / 'configs' / 'coco_maskrcnn_vitb.py'
ADE = REPOSITORY / 'configs' / 'ade20k_upernet_vitb.py'


@pytest.fixture(scope='module')
def photos(tmp_path_factory):
    return imagenet_layout(tmp_path_factory.mktemp('photos'))


@pytest.fixture(scope='module')
def trained(tmp_path_factory, photos):
    """Checkpoint of a small run: width 32, two blocks."""
    folder = tmp_path_factory.mktemp('trained')
    train(CONFIG, '--work-dir', folder, *small(photos))
    return folder / 'epoch_1.pth'


@pytest.fixture
def refused(photos, tmp_path, monkeypatch):
    """Calls a training that must be refused, small but for the given changes; returns its line."""
    monkeypatch.chdir(tmp_path)

    def train_with(*options, **changes):
        return error_line(call('train', CONFIG, *options, *small(**{'data_root': photos, **changes})))

    return train_with


# Data


def test_missing_data_folder(refused):
    assert refused(data_root='no/such') == (
        'error: train_dataloader: no/such does not exist: set the data root, e.g. --cfg-options data_root=path/to/data'
    )


def test_empty_data_folder(refused, tmp_path):
    (tmp_path / 'empty').mkdir()
    assert refused(data_root=tmp_path / 'empty') == f'error: train_dataloader: folder {tmp_path}/empty is empty'


def test_folder_without_an_image(refused, tmp_path):
    (tmp_path / 'texts').mkdir()
    (tmp_path / 'texts' / 'read.me').write_text('nothing')
    assert f'error: no image in {tmp_path}/texts: looked for .jpg' in refused(data_root=tmp_path / 'texts')


def test_list_file_of_nothing(refused, tmp_path):
    (tmp_path / 'list.txt').write_text('\n')
    assert f'list file {tmp_path}/list.txt names no photo' in refused(data_root=tmp_path / 'list.txt')


@pytest.mark.parametrize('workers', [0, 1])
def test_photos_none_of_which_can_be_read(photos, tmp_path, workers):
    for split in ('train', 'val'):
        (tmp_path / 'photos' / split).mkdir(parents=True)
        for i in range(8):
            (tmp_path / 'photos' / split / f'{i}.jpg').write_text('no image')
    ended = call(
        'train', CONFIG, '--work-dir', tmp_path, *small(tmp_path / 'photos', train_dataloader__num_workers=workers)
    )
    assert error_line(ended) == f'error: none of the 8 photos in {tmp_path}/photos/train can be read as an image'


def test_missing_annotation_file(tmp_path):
    for split in ('train2017', 'val2017'):
        (tmp_path / 'coco' / split).mkdir(parents=True)
        (tmp_path / 'coco' / split / '1.jpg').touch()
    ended = call(
        'train',
        COCO,
        '--work-dir',
        tmp_path,
        '--cfg-options',
        f'data_root={tmp_path}/coco',
        'pretrained=none',
        'train_dataloader.batch_size=1',
    )
    missing = tmp_path / 'coco' / 'annotations' / 'instances_train2017.json'
    assert f'error: train_dataloader: annotation file {missing} does not exist' in error_line(ended)


@pytest.mark.parametrize('config', [COCO, ADE], ids=['coco', 'ade'])
def test_missing_labelled_data(config, tmp_path):
    ended = call(
        'train', config, '--work-dir', tmp_path, '--cfg-options', f'data_root={tmp_path}/none', 'pretrained=none'
    )
    line = error_line(ended)
    assert f'error: train_dataloader: {tmp_path}/none' in line and 'does not exist: set the data root' in line


# Sizes


@pytest.mark.parametrize(
    'changes, line',
    [
        (
            dict(model__vit__arch='gigantic'),
            "unknown arch 'gigantic': choose one of tiny, small, base, large, huge, or give a dict with embed_dim, "
            'depth, num_heads',
        ),
        (
            dict(model__vit__arch="{'embed_dim':32,'depth':2}"),
            "arch misses 'num_heads': give embed_dim, depth, num_heads",
        ),
        (
            dict(model__vit__arch="{'embed_dim':32,'depth':2,'heads':2}"),
            "unknown arch field 'heads': the fields are embed_dim, depth, num_heads, patch_size, mlp_ratio",
        ),
        (
            dict(model__vit__arch="{'embed_dim':32,'depth':2,'num_heads':3}"),
            'embed_dim must be a multiple of num_heads and of 4; found embed_dim=32, num_heads=3',
        ),
        (
            dict(model__vit__img_size=36),
            'img_size 36 x 36 is not divisible by patch_size 8: choose multiples, e.g. 32 x 32',
        ),
        (dict(model__masking__ratio=0), 'a mask ratio lies strictly between 0 and 1; found 0'),
        (dict(model__masking__ratio=1), 'a mask ratio lies strictly between 0 and 1; found 1'),
        (dict(model__masking__ratio=1.2), 'a mask ratio lies strictly between 0 and 1; found 1.2'),
        (
            dict(model__masking__ratio=0.99),
            'mask ratio 0.99 keeps 0 of 4 x 4 patches: choose a ratio that keeps some and hides some',
        ),
        (dict(optim_wrapper__dtype='int8'), "autocast dtype is one of bfloat16, float16, float32; found 'int8'"),
        (dict(param_scheduler__0__warmup=1), 'the warm-up must end before the schedule does; found warmup=1, end=1'),
    ],
    ids=lambda value: (
        ','.join(value.values())
        if isinstance(value, dict) and all(isinstance(v, str) for v in value.values())
        else None
    ),
)
def test_impossible_size(refused, changes, line):
    assert refused(**changes) == f'error: {line}'


@pytest.mark.parametrize(
    'where, size', [('train_dataloader', 36), ('val_dataloader', 36), ('train_dataloader', '(32,36)')]
)
def test_crops_that_the_patch_does_not_divide(refused, where, size):
    assert refused(**{f'{where}__dataset__img_size': size}) == (
        f'error: {where.replace("__", ".")}.dataset.img_size 36 is not divisible by patch_size 8: choose a multiple, '
        'e.g. 32'
    )


def test_crops_that_the_huge_patch_does_not_divide(refused):
    assert 'img_size 32 is not divisible by patch_size 14' in refused(
        model__vit__arch='huge', model__vit__patch_size=None
    )


@pytest.mark.parametrize(
    'batch, total, advice',
    [
        (3, 8, '1 process x 3 images: choose train_dataloader.batch_size from 1, 2, 4, 8'),
        (16, 8, '1 process x 16 images: choose train_dataloader.batch_size from 1, 2, 4, 8'),
    ],
)
def test_impossible_batch(refused, batch, total, advice):
    line = refused(batch=batch, total_batch_size=total)
    assert line.startswith(f'error: total_batch_size {total} cannot be made of') and line.endswith(
        advice.partition(': ')[2]
    )


@pytest.mark.parametrize('batch', [0, -4, 'many'])
def test_batch_of_nothing(refused, batch):
    assert (
        refused(batch=batch)
        == f'error: train_dataloader.batch_size is a whole number of images, 1 or more; found {batch}'
    )


def test_total_batch_of_nothing(refused):
    assert refused(total_batch_size=-8) == (
        'error: train_dataloader.batch_size and total_batch_size are whole numbers above zero; found 8 and -8'
    )


def test_fewer_photos_than_a_batch(refused):
    assert refused(batch=32, total_batch_size=32) == (
        'error: 24 images, 24 for each process, make no batch of 32: give more, or lower train_dataloader.batch_size '
        'and total_batch_size'
    )


# The command line


@pytest.mark.parametrize(
    'tool, arguments', [('train', []), ('test', ['some.pth']), ('reconstruct', ['some.pth', 'out.png'])]
)
def test_missing_config(tool, arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    line = error_line(call(tool, 'configs/none.py', *arguments))
    assert line == 'error: config configs/none.py does not exist; the configs lie in configs/'


@pytest.mark.parametrize(
    'option, says',
    [
        ('data_rot=x', "the config has no 'data_rot'; did you mean 'data_root'?"),
        ('model.vti.arch=tiny', "the config has no 'model.vti'; did you mean 'model.vit'?"),
        ('model.vit.drop_path=.1', "ViT has no setting 'drop_path'"),
        ('train_cfg.max_epoch=3', "EpochBasedTrainLoop has no setting 'max_epoch'"),
        ('train_dataloader.batchsize=2', "DataLoader has no setting 'batchsize'"),
        ('model.masking.type=RandomMaskin', 'there is no such type'),
    ],
)
def test_misspelt_option(photos, tmp_path, option, says):
    line = error_line(call('train', CONFIG, '--work-dir', tmp_path, *small(photos), option))
    assert line.startswith(f'error: --cfg-options {option.partition("=")[0]}') and says in line


def test_an_error_of_ours_keeps_its_traceback(photos, tmp_path, monkeypatch):
    def broken(*arguments, **named):
        raise TypeError("Thing.__init__() got an unexpected keyword argument 'nothing_the_user_typed'")

    monkeypatch.setattr('mae_transfer.launch.LoudRunner.train', broken)
    with pytest.raises(TypeError, match='nothing_the_user_typed'):
        call('train', CONFIG, '--work-dir', tmp_path, *small(photos))


def test_a_launcher_that_started_nothing(photos, tmp_path):
    line = error_line(call('train', CONFIG, '--work-dir', tmp_path, '--launcher', 'pytorch', *small(photos)))
    assert "launcher 'pytorch' finds no RANK" in line and line.endswith(
        'start the ranks with torchrun (tools/dist_train.sh)'
    )


def test_amp_of_a_wrapper_that_has_none(refused):
    line = refused('--amp', 'bf16', optim_wrapper__type='OptimWrapper')
    assert (
        line
        == "error: --amp needs optim_wrapper.type='mae_transfer.AutocastOptimWrapper'; the config has 'OptimWrapper'"
    )


# Checkpoints


class Runs:
    """Would run a command when it is unpickled."""

    def __reduce__(self):
        return os.system, ('touch hacked',)


@pytest.fixture
def bad_files(trained, tmp_path):
    """{what: file} of checkpoints that no tool may take."""
    (tmp_path / 'cut.pth').write_bytes(trained.read_bytes()[:-2000])
    (tmp_path / 'empty.pth').touch()
    torch.save(dict(state_dict=Runs()), tmp_path / 'runs.pth')
    return tmp_path


def call_with(way, path, options):
    """How a tool ends that is given a checkpoint in one of the ways there are."""
    if way in ('test', 'reconstruct'):
        return call(way, CONFIG, path, *['out.png'] * (way == 'reconstruct'), *options)
    if way == 'init_cfg':
        return call('train', CONFIG, *options, f"model.vit.init_cfg={{'type':'Pretrained','checkpoint':'{path}'}}")
    return call('train', CONFIG, way, path, *options)


BAD_FILES = [
    ('missing.pth', "no checkpoint file or work_dir '{path}'"),
    ('cut.pth', "'{path}' ({size} bytes) is cut short or is no checkpoint"),
    ('empty.pth', "'{path}' is empty (0 bytes): it was probably cut short"),
    ('runs.pth', "refused '{path}' ({size} bytes): reading it would run"),
]


@pytest.mark.parametrize(
    'name, says', BAD_FILES, ids=lambda value: value.split('.')[0] if value.endswith('.pth') else ''
)
@pytest.mark.parametrize('way', ['--load-from', 'test', 'init_cfg'])
def test_file_that_is_no_checkpoint(way, name, says, bad_files, photos, monkeypatch):
    monkeypatch.chdir(bad_files)
    path = bad_files / name
    ended = call_with(way, path, small(photos))
    assert says.format(path=path, size=path.stat().st_size if path.exists() else 0) in error_line(ended)
    assert not (bad_files / 'hacked').exists()


ANOTHER_SIZE = {
    'wider': ARCH.replace('32', '48'),
    'deeper': ARCH.replace("'depth':2", "'depth':3"),
    'shallower': ARCH.replace("'depth':2", "'depth':1"),
}


@pytest.mark.parametrize(
    'way, size',
    [
        *((way, size) for way in ('--load-from', 'test') for size in ANOTHER_SIZE),
        *((way, 'wider') for way in ('--resume', 'reconstruct', 'init_cfg')),
    ],
)
def test_checkpoint_of_another_size(way, size, trained, photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ended = call_with(way, trained, small(photos, model__vit__arch=ANOTHER_SIZE[size]))
    line = error_line(ended)
    if way == 'init_cfg':
        assert 'checkpoint is of embed_dim 32, depth 2; the model of' in line
        assert line.endswith('choose arch dict(embed_dim=32, depth=2, num_heads=...)')
    else:
        assert f'{trained} is of another model' in line and line.endswith('use the config that it was trained with')
        assert 'blocks.' in line


def test_checkpoint_of_another_kind_of_model(photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save(dict(state_dict={'conv1.weight': torch.zeros(1)}), tmp_path / 'resnet.pth')
    line = error_line(call('train', CONFIG, '--load-from', tmp_path / 'resnet.pth', *small(photos)))
    assert 'tensors are not in it' in line and 'it has e.g. conv1.weight' in line


@pytest.mark.parametrize('config', [COCO, ADE], ids=['detector', 'segmentor'])
def test_missing_pretrained_weights(config, tmp_path):
    line = error_line(
        call(
            'train',
            config,
            '--work-dir',
            tmp_path,
            '--cfg-options',
            f'data_root={fake_data(tmp_path)}',
            'pretrained=no/such.pth',
        )
    )
    assert line == (
        "error: pretrained: no checkpoint file or work_dir 'no/such.pth': pre-train first, or choose --cfg-options "
        'pretrained=FILE, or none for random weights'
    )


@pytest.mark.parametrize(
    'config, write, classes',
    [(COCO, write_coco, CLASSES), (ADE, write_scenes, ('road', 'field'))],
    ids=['detector', 'segmentor'],
)
def test_pretrained_weights_of_another_size(config, write, classes, tmp_path, trained):
    deeper = [
        "model.backbone.arch={'embed_dim':32,'depth':4,'num_heads':2}",
        'model.backbone.out_indices=(0,1,2,3)',
        'model.neck.embed_dim=32',
    ]
    line = error_line(
        call(
            'train',
            config,
            '--work-dir',
            tmp_path,
            '--cfg-options',
            f'data_root={write(tmp_path / "data")}',
            f'classes={",".join(classes)}',
            f'pretrained={trained}',
            'train_dataloader.batch_size=2',
            *deeper,
        )
    )
    assert 'checkpoint is of embed_dim 32, depth 2; the model of 32, depth 4: choose arch' in line


def fake_data(folder):
    """A folder that looks like COCO and like ADE20K from afar."""
    for path in (
        'train2017',
        'val2017',
        'images/training',
        'images/validation',
        'annotations/training',
        'annotations/validation',
    ):
        (folder / 'data' / path).mkdir(parents=True)
        (folder / 'data' / path / '1.jpg').touch()
    for split in ('train', 'val'):
        (folder / 'data' / 'annotations' / f'instances_{split}2017.json').write_text(
            json.dumps(
                dict(
                    images=[dict(id=1, file_name='1.jpg', height=64, width=64)],
                    categories=[dict(id=1, name='person')],
                    annotations=[dict(id=1, image_id=1, category_id=1, bbox=[8, 8, 40, 40], area=1600, iscrowd=0)],
                )
            )
        )
    return folder / 'data'


# As a process


def test_exit_code_and_standard_error_of_a_process(tmp_path):
    ended = subprocess.run(
        [sys.executable, REPOSITORY / 'tools' / 'train.py', CONFIG, '--cfg-options', 'data_root=no/such'],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.returncode == 2 and ended.stderr.splitlines()[-1].startswith('error: train_dataloader: no/such')
    assert 'Traceback' not in ended.stderr


@pytest.mark.slow
def test_a_refused_checkpoint_ends_all_processes(trained, photos, tmp_path):
    ended = run(
        'dist_train.sh',
        CONFIG,
        2,
        '--work-dir',
        tmp_path,
        '--load-from',
        trained,
        *small(photos, 4, model__vit__arch=ANOTHER_SIZE['wider']),
    )
    assert ended.code != 0 and f'error: {trained} is of another model' in ended.err
