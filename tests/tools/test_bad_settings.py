"""Mistakes in data, settings and the command line end a tool with one line, before training starts: it says what is
wrong and what would be right."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.tools.commands import CONFIG, REPOSITORY, call, error_line, small

COCO = REPOSITORY / 'configs' / 'coco_maskrcnn_vitb.py'
ADE = REPOSITORY / 'configs' / 'ade20k_upernet_vitb.py'


@pytest.fixture
def refused(photos, tmp_path, monkeypatch):
    """Calls a small training with options and changes that must be refused; returns the error line."""
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
    line = f'train_dataloader: folder {tmp_path}/empty is empty: fill it, or name another by data_root=FOLDER'
    assert refused(data_root=tmp_path / 'empty') == f'error: {line}'


def test_folder_without_an_image(refused, tmp_path):
    (tmp_path / 'texts').mkdir()
    (tmp_path / 'texts' / 'read.me').write_text('nothing')
    assert f'error: no image in {tmp_path}/texts: looked for .jpg' in refused(data_root=tmp_path / 'texts')


def test_empty_list_file(refused, tmp_path):
    (tmp_path / 'list.txt').write_text('\n')
    assert f'list file {tmp_path}/list.txt names no image' in refused(data_root=tmp_path / 'list.txt')


@pytest.mark.parametrize('workers', [0, 1])
def test_photos_that_all_cannot_be_read(photos, tmp_path, workers):
    for split in ('train', 'val'):
        (tmp_path / 'photos' / split).mkdir(parents=True)
        for i in range(8):
            (tmp_path / 'photos' / split / f'{i}.jpg').write_text('no image')
    ended = call(
        'train', CONFIG, '--work-dir', tmp_path, *small(tmp_path / 'photos', train_dataloader__num_workers=workers)
    )
    line = error_line(ended)
    assert line.startswith(f'error: none of the 8 images in {tmp_path}/photos/val can be read: ')
    assert line.endswith('.jpg is the first')


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


@pytest.mark.parametrize(
    'name, content, says',
    [
        ('photos.zip', b'PK\x03\x04', 'photos.zip is an archive: unpack it, and give the folder'),
        ('list.txt', b'pictures/a.jpg', "names exists (1 of 1 looked for): 'pictures/a.jpg' in line 1 stands for"),
        ('photo.heic', b'\0\0\0 ftypheic', 'photo.heic is not a text file: expected one path per line'),
        ('coco.json', b'{}', 'coco.json is a JSON file: give a folder of images, a list file or an image'),
    ],
)
def test_a_file_that_is_no_source_of_photos(refused, tmp_path, name, content, says):
    (tmp_path / name).write_bytes(content)
    assert says in refused(data_root=tmp_path / name)


def test_a_single_photo_needs_a_batch_of_one_or_repetition(refused, photos):
    line = refused(data_root=photos / 'train' / '000.jpg')
    assert line.startswith('error: 1 images, 1 for each process, make no batch of 8: give more, repeat=8, or lower')


@pytest.mark.parametrize('repeat', [0, 0.5, 'many'])
def test_an_impossible_repetition(refused, repeat):
    line = refused(repeat=repeat)
    assert line.endswith(f'is a whole number of passes over the data in an epoch, 1 or more; found {repeat}')


def test_a_file_as_work_dir(photos, tmp_path):
    (tmp_path / 'file').touch()
    for tool, checkpoint in (('train', []), ('test', ['no.pth'])):
        line = error_line(call(tool, CONFIG, *checkpoint, '--work-dir', tmp_path / 'file', *small(photos)))
        assert line.startswith(f"error: --work-dir: the folder '{tmp_path}/file' cannot be created: ")


# Sizes


@pytest.mark.parametrize(
    'changes, line',
    [
        (
            dict(model__vit__arch='gigantic'),
            "unknown arch 'gigantic': choose one of tiny, small, base, large, huge, or give embed_dim x depth x "
            'num_heads, such as 192x5x3, or a dict of these',
        ),
        (
            dict(model__vit__arch="{'embed_dim':32,'depth':2}"),
            "arch has no 'num_heads': give embed_dim, depth, num_heads",
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
            'model.vit.img_size 36 is not divisible by patch_size 8: choose a multiple, e.g. 32',
        ),
        (dict(image_size=36), 'image_size 36 is not divisible by patch_size 8: choose a multiple, e.g. 32'),
        (dict(model__masking__ratio=0), 'masking.ratio must lie strictly between 0 and 1; found 0'),
        (dict(model__masking__ratio=1), 'masking.ratio must lie strictly between 0 and 1; found 1'),
        (dict(model__masking__ratio=1.2), 'masking.ratio must lie strictly between 0 and 1; found 1.2'),
        (
            dict(model__masking__ratio=0.99),
            'masking.ratio 0.99 keeps 0 of 4 x 4 patches: choose a ratio that keeps some and masks some',
        ),
        (dict(optim_wrapper__dtype='int8'), "autocast dtype is one of bfloat16, float16, float32; found 'int8'"),
        (
            dict(warmup=1),
            'warmup=1 of WarmupCosineLR does not fit into the run of 1 epochs (max_epochs): a warm-up must end before '
            'the run does; choose less, e.g. warmup=0.05',
        ),
    ],
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
    assert 'image_size 32 is not divisible by patch_size 14' in refused(
        model__vit__arch='huge', model__vit__patch_size=None
    )


@pytest.mark.parametrize('batch', [3, 16])
def test_a_batch_that_does_not_divide_the_total_batch(refused, batch):
    line = refused(batch=batch, total_batch_size=8)
    assert line.startswith('error: total_batch_size 8 cannot be made of')
    assert line.endswith('choose train_dataloader.batch_size from 1, 2, 4, 8')


@pytest.mark.parametrize('batch', [0, -4, 'many'])
def test_a_batch_size_that_is_no_positive_number(refused, batch):
    assert refused(batch=batch) == (
        f'error: train_dataloader.batch_size is a whole number of images, 1 or more; found {batch}'
    )


def test_a_total_batch_size_that_is_no_positive_number(refused):
    assert refused(total_batch_size=-8) == 'error: total_batch_size is a whole number of images, 1 or more; found -8'


def test_fewer_photos_than_a_batch(refused):
    assert refused(batch=32, total_batch_size=32) == (
        'error: 24 images, 24 for each process, make no batch of 32: give more, repeat=2, or lower '
        'train_dataloader.batch_size and total_batch_size'
    )


# The command line


@pytest.mark.parametrize(
    'tool, arguments', [('train', []), ('test', ['some.pth']), ('reconstruct', ['some.pth', 'out.png'])]
)
def test_missing_config(tool, arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    line = error_line(call(tool, 'configs/none.py', *arguments))
    assert line == 'error: config configs/none.py does not exist; the configs are in configs/'


@pytest.mark.parametrize(
    'option, says',
    [
        ('data_rot=x', "the config has no 'data_rot'; did you mean 'data_root'?"),
        ('model.vti.arch=tiny', "the config has no 'model.vti'; did you mean 'model.vit'?"),
        ('model.vit.drop_path=.1', "ViT has no setting 'drop_path'"),
        ('train_cfg.max_epoch=3', "EpochBasedTrainLoop has no setting 'max_epoch'"),
        ('train_dataloader.batchsize=2', "DataLoader has no setting 'batchsize'"),
        ('model.masking.type=RandomMaskin', "there is no type 'RandomMaskin' in mae_transfer::model"),
    ],
)
def test_misspelt_option(photos, tmp_path, option, says):
    line = error_line(call('train', CONFIG, '--work-dir', tmp_path, *small(photos), option))
    assert says in line and (option.partition('=')[0] in line or 'no type' in says)


def test_another_error_keeps_its_traceback(photos, tmp_path, monkeypatch):
    def broken(*arguments, **named):
        raise TypeError("Thing.__init__() got an unexpected keyword argument 'nothing_the_user_typed'")

    monkeypatch.setattr('mae_transfer.launch.StrictRunner.train', broken)
    with pytest.raises(TypeError, match='nothing_the_user_typed'):
        call('train', CONFIG, '--work-dir', tmp_path, *small(photos))


def test_a_launcher_that_started_no_processes(photos, tmp_path):
    line = error_line(call('train', CONFIG, '--work-dir', tmp_path, '--launcher', 'pytorch', *small(photos)))
    assert "launcher 'pytorch' finds no RANK" in line and line.endswith(
        'start the processes with torchrun (tools/dist_train.sh)'
    )


def test_amp_with_a_wrapper_without_autocast(refused):
    line = refused('--amp', 'bf16', optim_wrapper__type='OptimWrapper')
    assert line == (
        "error: --amp needs optim_wrapper.type='mae_transfer.AutocastOptimWrapper'; the config has 'OptimWrapper'"
    )


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
