"""tools/make_shards.py, and runs on what it wrote: the same runs as on the folder."""

from __future__ import annotations

import re
import shutil

import pytest
import torch

from mae_transfer.data.files.shard_index import INDEX_FILE
from mae_transfer.runs.fingerprint import fingerprint
from tests.helpers import save_photo
from tests.tools.classification import FINETUNE, class_options
from tests.tools.commands import CONFIG, call, checkpoint, error_line, losses, small, train, write_photos


def make(*arguments) -> str:
    """The last line of the tool, which must succeed."""
    ended = call('make_shards', *arguments)
    assert ended.code == 0, ended.err
    return ended.out.splitlines()[-1]


@pytest.fixture(scope='module')
def shards(photos, tmp_path_factory):
    out = tmp_path_factory.mktemp('shards') / 'new'
    line = make(photos, out, '--size', '20KB', '--workers', 0)
    count = len(list(out.glob('*.tar')))
    size = sum(path.stat().st_size for path in out.glob('*.tar'))
    assert line == f'31 photos in {count} shards, {size:,} bytes: data_root={out}' and count > 3
    return out


# --- runs -------------------------------------------------------------------------------------------------------------
@pytest.fixture(scope='module')
def from_shards(shards, tmp_path_factory):
    """work_dir of a pre-training of one epoch, and its output."""
    folder = tmp_path_factory.mktemp('run')
    return folder, train(CONFIG, '--work-dir', folder, '--amp', 'off', *small(shards)).out


def test_pre_training_is_the_folder_s_run_bit_by_bit(from_shards, trained):
    folder, out = from_shards
    assert len(losses(folder)) == 3 and losses(folder) == losses(trained)
    assert fingerprint(checkpoint(folder)) == fingerprint(checkpoint(trained))
    assert len(re.findall(r'24 photos in \d+ shards; where they are is', out)) >= 1


def test_a_run_goes_on_in_the_middle_of_an_epoch(from_shards, shards, tmp_path):
    options = [
        *small(shards),
        *('default_hooks.checkpoint.by_epoch=False', 'default_hooks.checkpoint.interval=1'),
        'default_hooks.checkpoint.max_keep_ckpts=-1',
    ]
    train(CONFIG, '--work-dir', tmp_path / 'whole', '--amp', 'off', *options)
    (tmp_path / 'on').mkdir()
    shutil.copy(tmp_path / 'whole' / 'iter_1.pth', tmp_path / 'on')
    train(CONFIG, '--work-dir', tmp_path / 'on', '--resume', '--amp', 'off', *options)
    wanted, found = (checkpoint(tmp_path / name)['state_dict'] for name in ('whole', 'on'))
    assert all(torch.equal(wanted[name], found[name]) for name in wanted)
    assert all(torch.equal(wanted[name], value) for name, value in checkpoint(from_shards[0])['state_dict'].items())


def test_classification_is_the_folder_s_run_bit_by_bit(class_photos, tmp_path):
    assert make(class_photos, tmp_path / 'shards', '--classes').startswith('31 photos in 2 shards')
    for name, root in (('files', class_photos), ('packed', tmp_path / 'shards')):
        train(FINETUNE, '--work-dir', tmp_path / name, *class_options(root))
    assert losses(tmp_path / 'files') == losses(tmp_path / 'packed')
    assert checkpoint(tmp_path / 'packed')['meta']['dataset_meta']['classes'] == ('blue', 'green', 'red')


def test_photos_of_one_shard_are_drawn(photos, shards, trained, tmp_path):
    shard = shards / 'val-000000.tar'
    ended = call('reconstruct', CONFIG, trained, tmp_path / 'a.png', '--photos', shard, '--count', 2, *small(photos))
    assert ended.code == 0 and f'2 photos drawn into {tmp_path / "a.png"}' in ended.out, ended.err


def test_unreadable_photos_in_shards_are_listed(tmp_path):
    write_photos(tmp_path / 'photos', 24)
    path = tmp_path / 'photos' / '005.jpg'
    path.write_bytes(path.read_bytes()[:-100])  # its header is whole
    make(tmp_path / 'photos', tmp_path / 'shards')
    train(CONFIG, '--work-dir', tmp_path / 'run', *small(tmp_path / 'shards', train_dataloader__dataset__hold_out=0.1))
    assert 'photos-000000.tar/005.jpg' in (tmp_path / 'run' / 'skipped_images.txt').read_text()


@pytest.mark.parametrize('damage, says', [('cut', 'is cut short'), ('text', 'is no tar file')])
def test_a_damaged_shard_ends_the_run_before_a_step(shards, tmp_path, damage, says):
    shutil.copytree(shards, tmp_path / 'shards')
    path = tmp_path / 'shards' / 'train-000001.tar'
    path.write_bytes(path.read_bytes()[:5000] if damage == 'cut' else b'Not Found')
    line = error_line(call('train', CONFIG, '--work-dir', tmp_path / 'run', *small(tmp_path / 'shards')))
    assert re.match(rf'error: 1 of \d+ shards cannot be used: .*train-000001.tar {says}.*: copy it again', line)


# --- the tool ---------------------------------------------------------------------------------------------------------
def test_photos_are_made_smaller(photos, tmp_path):
    whole = make(photos, tmp_path / 'a')
    line = make(photos, tmp_path / 'b', '--short-side', 16, '--quality', 60)
    sizes = [int(re.search(r'([\d,]+) bytes', text)[1].replace(',', '')) for text in (whole, line)]
    assert sizes[1] < sizes[0] and line.startswith('31 photos')


def test_what_is_left_out_and_renamed_is_told(tmp_path):
    for name in ('a.jpg', 'a.png', 'b.c.jpg'):
        save_photo(tmp_path / 'photos' / name)
    (tmp_path / 'photos' / 'x.jpg').touch()
    ended = call('make_shards', tmp_path / 'photos', tmp_path / 'out')
    assert ended.out.splitlines()[-3:-1] == [
        '1 photos cannot be read and are left out: x.jpg (is empty)',
        '2 photos have other names in the shards, because a key ends at the first dot and stands for one photo: a.png, '
        'b.c.jpg',
    ]


def test_other_shards_are_overwritten_only_when_told(photos, shards, tmp_path):
    out = tmp_path / 'shards'
    shutil.copytree(shards, out)
    (out / INDEX_FILE).touch()
    before = sorted(path.name for path in out.iterdir())
    line = error_line(call('make_shards', photos, out))
    assert 'shards holds' in line and 'train-000000.tar' in line and line.endswith('or --overwrite, which removes them')
    assert sorted(path.name for path in out.iterdir()) == before
    make(photos, out, '--overwrite')
    assert sorted(path.name for path in out.iterdir()) == ['train-000000.tar', 'val-000000.tar']


def test_labelled_lists(tmp_path):
    write_photos(tmp_path / 'photos', 4)
    (tmp_path / 'list.txt').write_text(''.join(f'photos/{i:03d}.jpg {"ab"[i % 2]}\n' for i in range(4)))
    make(tmp_path / 'list.txt', tmp_path / 'out', '--classes')
    assert (tmp_path / 'out' / 'classes.txt').read_text() == 'a\nb\n'
    assert make(tmp_path / 'list.txt', tmp_path / 'plain').startswith('4 photos in 1 shards')


@pytest.mark.parametrize(
    'arguments, says',
    [
        (['--size', 'many'], '--size is a number of bytes, e.g. 100MB or 1GB; found many'),
        (['--quality', '0'], '--quality is a number from 1 to 100; found 0'),
        (['--short-side', '0'], '--short-side is a number of pixels, 1 or more; found 0'),
        (['--workers', '-1'], '--workers is a number of processes, 0 or more; found -1'),
        (['--classes'], 'class folder'),
    ],
)
def test_impossible_arguments_are_refused_in_one_line(tmp_path, arguments, says):
    write_photos(tmp_path / 'photos', 2)
    assert says in error_line(call('make_shards', tmp_path / 'photos', tmp_path / 'out', *arguments))
    assert not (tmp_path / 'out').exists()


def test_impossible_places_are_refused_in_one_line(tmp_path):
    write_photos(tmp_path / 'photos', 2)
    (tmp_path / 'file').touch()
    (tmp_path / 'empty').mkdir()
    for source, out, says in (
        ('photos', 'photos', 'OUT is FOLDER'),
        ('photos', 'file', 'OUT: the folder .* cannot be created: .* is a file'),
        ('nowhere', 'out', 'nowhere does not exist: give a folder of photos, or a list file'),
        ('empty', 'out', 'no image in .*empty'),
    ):
        assert re.search(says, error_line(call('make_shards', tmp_path / source, tmp_path / out)))
