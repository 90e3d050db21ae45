"""Embeddings are those of the model's own project, in the order of the images, whatever happened on the way."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from timm.models.vision_transformer import VisionTransformer

from mae_transfer.benchmarks.equality_timm import TIMM_STARTS
from mae_transfer.benchmarks.equality_transformers import transformers_starts
from mae_transfer.data import CentreCrop
from mae_transfer.data.files.bands import RGB_MEAN, RGB_STD
from mae_transfer.errors import UserError
from mae_transfer.inference import embedding
from mae_transfer.inference.embedding import Embeddings, embed
from mae_transfer.inference.trained import load
from mae_transfer.starts import start
from tests.helpers import enlarge, photo_folder, save_photo
from tests.tools.commands import REPOSITORY, call

ARCH = '64x3x2'


def crops(folder: Path, names, size: int = 32, mean=RGB_MEAN, std=RGB_STD) -> torch.Tensor:
    """Normalised centre crops, made without our data set."""
    images = [CentreCrop(size)(Image.open(folder / name).convert('RGB')) for name in names]
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (mean, std))
    return (torch.stack(images).float() - mean) / std


@pytest.fixture(scope='module')
def photos(tmp_path_factory) -> Path:
    return photo_folder(tmp_path_factory.mktemp('photos'), 7)


@pytest.fixture(scope='module')
def weights(tmp_path_factory) -> Path:
    """A ViT of timm's, of random weights, for images of 32 x 32."""
    path = tmp_path_factory.mktemp('weights') / 'vit.pth'
    torch.save(timm_vit().state_dict(), path)
    return path


def timm_vit() -> VisionTransformer:
    vit = VisionTransformer(32, 8, embed_dim=64, depth=3, num_heads=2, num_classes=0)
    return enlarge(vit).eval()


def small(weights: Path, photos, out=None, **settings) -> Embeddings:
    return embed(weights, photos, out, **dict(dict(arch=ARCH, device='cpu', batch_size=4), **settings))


def assert_equal(found: np.ndarray, expected: torch.Tensor, tolerance: float = 1e-5) -> None:
    assert found.dtype == np.float32 and found.shape == expected.shape
    assert np.abs(found - expected.numpy()).max() <= tolerance * expected.abs().max().item()


@pytest.mark.parametrize('pool', ['patches', 'class'])
def test_they_equal_timms_own(photos, weights, pool):
    found = small(weights, photos, pool=pool)
    with torch.no_grad():
        tokens = timm_vit().forward_features(crops(photos, found.names))
    assert_equal(found.values, tokens[:, 0] if pool == 'class' else tokens[:, 1:].mean(1))
    assert found.names == tuple(f'photo{number}.png' for number in range(7))


#: Other projects' ViTs, and what has to be said of their weights where no config.json beside them does.
SAID = {
    'ViT': {},
    'DeiT III': dict(init='deit3'),
    'DINOv2': {},
    'DINOv2 with registers': dict(init='dinov2reg'),
    'DINOv3': dict(init='dinov3'),
    'BEiT, BEiT v2': {},
    'CLIP': dict(init='clip'),
    'SigLIP': dict(init='siglip'),
}
STATISTICS = {'BEiT, BEiT v2': 'beit', 'CLIP': 'clip', 'SigLIP': 'siglip'}
PEERS = [
    pytest.param(one, dict(SAID[one.name], arch=ARCH) if side == 'timm' else {}, pool, id=f'{side} {one.name} {pool}')
    for side, starts in (('timm', TIMM_STARTS), ('transformers', transformers_starts()))
    for one in starts
    for pool in ('patches', 'class')
    if one.name in SAID and (one.name, pool) != ('SigLIP', 'class')  # it has none
]


@pytest.mark.parametrize('one, said, pool', PEERS)
def test_they_equal_those_of_other_projects(one, said, pool, photos, tmp_path):
    torch.manual_seed(0)
    side = (one.built_for or (32, 32))[0]
    model, known = one.model((side, side)), start(STATISTICS.get(one.name))
    found = embed(one.save(model, tmp_path), photos, device='cpu', image_size=side, pool=pool, **said)
    with torch.no_grad():
        tokens = one.tokens(model, crops(photos, found.names, side, known.mean, known.std))
    patches = tokens if one.name == 'SigLIP' else tokens[:, 1:]
    assert_equal(found.values, tokens[:, 0] if pool == 'class' else patches.mean(1))


@pytest.mark.parametrize('pool', ['patches', 'class'])
@pytest.mark.parametrize('eps', [1e-12, 1e-3])
def test_they_equal_those_of_transformers_mae(photos, tmp_path, pool, eps):
    """Its epsilon, which weights do not show, is read from config.json."""
    import transformers

    torch.manual_seed(0)
    sizes = dict(hidden_size=64, num_hidden_layers=3, num_attention_heads=2, intermediate_size=256)
    config = transformers.ViTMAEConfig(**sizes, image_size=32, patch_size=8, layer_norm_eps=eps, mask_ratio=0.0)
    model = transformers.ViTMAEModel(config).eval()
    model.save_pretrained(tmp_path)
    found = embed(tmp_path, photos, pool=pool, device='cpu')
    noise = torch.arange(16.0).expand(7, -1)  # the order of the patches stays
    with torch.no_grad():
        tokens = model(crops(photos, found.names), noise=noise).last_hidden_state
    assert_equal(found.values, tokens[:, 0] if pool == 'class' else tokens[:, 1:].mean(1))


def test_the_order_is_that_of_the_images(photos, weights, tmp_path):
    whole = small(weights, photos)
    order = [5, 0, 3]
    files = [photos / f'photo{number}.png' for number in order]
    (photos / 'list.txt').write_text('\n'.join(file.name for file in files))
    for images in (files, photos / 'list.txt', [str(file) for file in files]):
        found = small(weights, images)
        assert found.names == tuple(file.name for file in files)
        np.testing.assert_allclose(found.values, whole.values[order], rtol=0, atol=1e-5)
    (photos / 'list.txt').unlink()
    assert small(weights, photos / 'photo3.png').names == ('photo3.png',)
    assert np.array_equal(whole['photo3.png'], whole.values[3])


def test_photos_of_folders_and_of_tars(weights, tmp_path):
    """Splits are folders as any others."""
    for split in ('train', 'val'):
        photo_folder(tmp_path / 'data' / split / 'cat', 3)
    found = small(weights, tmp_path / 'data')
    assert found.names == tuple(f'{split}/cat/photo{n}.png' for split in ('train', 'val') for n in range(3))
    assert call('make_shards', tmp_path / 'data', tmp_path / 'tars', '--workers', '0').code == 0
    of_tars = small(weights, tmp_path / 'tars')
    assert len(of_tars) == 6 and all('.tar/' in name for name in of_tars.names)
    by_member = {re.sub(r'-\d+\.tar/', '/', name): row for name, row in zip(of_tars.names, of_tars.values)}
    for name, row in zip(found.names, found.values):
        np.testing.assert_allclose(by_member[name], row, rtol=0, atol=1e-5)


def test_neither_batches_nor_workers_change_them(photos, weights):
    expected = small(weights, photos, batch_size=3).values
    for settings in (dict(batch_size=1), dict(batch_size=7), dict(batch_size=100)):
        found = small(weights, photos, **settings).values
        assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()
    assert np.array_equal(small(weights, photos, batch_size=3, num_workers=2).values, expected)


@pytest.fixture
def broken(photos, tmp_path) -> Path:
    """Photos 0 to 6, of which the first, two in the middle and the last cannot be read."""
    for number in range(7):
        if number in (0, 2, 3, 6):
            (tmp_path / f'photo{number}.png').write_bytes(b'')
        else:
            save_photo(tmp_path / f'photo{number}.png', number)
    return tmp_path


@pytest.mark.parametrize('part', [1, 2, 3, 100])
@pytest.mark.parametrize('batch_size', [1, 2, 100])
def test_unreadable_images_are_left_out_and_named(part, batch_size, broken, photos, weights, monkeypatch):
    monkeypatch.setattr(embedding, 'PART_IMAGES', part)
    found = small(weights, broken, broken.parent / 'out.npz', batch_size=batch_size, overwrite=True)
    assert found.names == ('photo1.png', 'photo4.png', 'photo5.png')
    np.testing.assert_allclose(found.values, small(weights, photos).values[[1, 4, 5]], rtol=0, atol=1e-5)
    assert sorted(found.skipped) == [f'photo{number}.png (is empty)' for number in (0, 2, 3, 6)]


@pytest.mark.parametrize('suffix', ['.npz', '.csv'])
@pytest.mark.parametrize('killed_after', [0, 1, 2])
def test_a_run_that_ended_early_goes_on_and_gives_the_same_bytes(
    suffix, killed_after, photos, weights, tmp_path, monkeypatch
):
    monkeypatch.setattr(embedding, 'PART_IMAGES', 3)
    expected = small(weights, photos, tmp_path / f'whole{suffix}', batch_size=2)
    out, written = tmp_path / f'killed{suffix}', []
    write = embedding.Parts.write

    def write_some(parts, number, part):
        if len(written) == killed_after:
            raise KeyboardInterrupt
        written.append(number)
        write(parts, number, part)

    monkeypatch.setattr(embedding.Parts, 'write', write_some)
    with pytest.raises(KeyboardInterrupt):
        small(weights, photos, out, batch_size=2)
    assert not out.exists() and len(list(tmp_path.glob('killed*.parts/0*.npz'))) == killed_after
    monkeypatch.setattr(embedding.Parts, 'write', lambda parts, *part: (written.append(part[0]), write(parts, *part)))
    found = small(weights, photos, out, batch_size=2)
    assert written == [0, 1, 2]
    assert out.read_bytes() == (tmp_path / f'whole{suffix}').read_bytes()
    assert np.array_equal(found.values, expected.values) and not list(tmp_path.glob('*.parts'))


@pytest.mark.slow
def test_a_process_that_is_killed_goes_on(weights, tmp_path):
    photos = photo_folder(tmp_path / 'photos', 60)
    small(weights, photos, tmp_path / 'whole.npz')
    script = (
        'import sys, time\nfrom mae_transfer.inference import embedding, encoder\nembedding.PART_IMAGES = 8\n'
        'features = encoder.Encoder.features\n'
        'encoder.Encoder.features = lambda self, images: (time.sleep(.3), features(self, images))[1]\n'
        f"embedding.embed(*sys.argv[1:], arch='{ARCH}', device='cpu', batch_size=4)\n"
    )
    out = tmp_path / 'killed.npz'
    environment = dict(os.environ, PYTHONPATH=str(REPOSITORY), OMP_NUM_THREADS='1')
    arguments = [sys.executable, '-c', script, str(weights), str(photos), str(out)]
    process = subprocess.Popen(arguments, env=environment)
    end = time.monotonic() + 120
    while len(list(tmp_path.glob('killed.npz.parts/0*.npz'))) < 3 and time.monotonic() < end:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL and not out.exists()
    assert 3 <= len(list(tmp_path.glob('killed.npz.parts/0*.npz'))) < 8
    subprocess.run(arguments, env=environment, check=True)
    assert np.array_equal(Embeddings.read(out).values, Embeddings.read(tmp_path / 'whole.npz').values)


@pytest.fixture
def stopped(photos, weights, tmp_path, monkeypatch) -> Path:
    """The file of a run that was stopped after a part."""
    monkeypatch.setattr(embedding, 'PART_IMAGES', 3)
    with monkeypatch.context() as patch:
        patch.setattr(embedding, '_part', lambda taken, places: 1 / 0 if places.start else _part(taken, places))
        with pytest.raises(ZeroDivisionError):
            small(weights, photos, tmp_path / 'out.npz')
    return tmp_path / 'out.npz'


_part = embedding._part


def test_parts_of_another_run_are_refused(stopped, photos, weights, tmp_path):
    other = tmp_path / 'other.pth'
    torch.save({name: value + 0.1 for name, value in timm_vit().state_dict().items()}, other)
    more = photo_folder(tmp_path / 'more', 8)
    for settings, what in (
        (dict(weights=other), 'weights'),
        (dict(photos=more), 'images'),
        (dict(pool='class'), 'pool'),
        (dict(image_size=16), 'image_size'),
        (dict(mean=(1, 2, 3)), 'mean'),
        (dict(dtype='bfloat16'), 'dtype'),
    ):
        with pytest.raises(UserError) as error:
            small(**dict(dict(weights=weights, photos=photos, out=stopped), **settings))
        assert str(error.value) == (
            f"'{stopped}.parts' holds parts of another run, with other {what}: give another out, or resume=False to "
            'begin again'
        )
    expected = small(weights, photos, pool='class').values
    assert np.array_equal(small(weights, photos, stopped, pool='class', resume=False).values, expected)


def test_a_damaged_part_is_named(stopped, photos, weights):
    part = Path(f'{stopped}.parts/000000.npz')
    part.write_bytes(part.read_bytes()[:100])
    with pytest.raises(UserError, match=r'000000.npz. is damaged: delete it, and it is made again$'):
        small(weights, photos, stopped)
    part.unlink()
    assert len(small(weights, photos, stopped)) == 7


def test_a_file_that_exists_is_kept_unless_it_may_be_overwritten(photos, weights, tmp_path):
    (tmp_path / 'a.npz').write_bytes(b'mine')
    with pytest.raises(UserError, match=r"a.npz' exists: choose another name, or overwrite=True$"):
        small(weights, photos, tmp_path / 'a.npz')
    assert (tmp_path / 'a.npz').read_bytes() == b'mine'
    small(weights, photos, tmp_path / 'a.npz', overwrite=True)
    assert len(Embeddings.read(tmp_path / 'a.npz')) == 7


@pytest.mark.parametrize(
    'settings, line',
    [
        (dict(pool='mean'), "pool is 'patches' or 'class'; found 'mean'"),
        (dict(batch_size=0), 'batch_size is a whole number, 1 or more; found 0'),
        (dict(num_workers=-1), 'num_workers is a whole number, 0 or more; found -1'),
        (dict(out='a.txt'), "out 'a.txt' ends in '.txt': choose .npz or .csv, e.g. a.npz"),
        (dict(out='a'), "out 'a' has no suffix: choose .npz or .csv, e.g. a.npz"),
        (dict(dtype='half'), "autocast dtype is one of bfloat16, float16, float32; found 'half'"),
        (dict(device='abacus'), "device 'abacus' cannot be used: "),
        (dict(image_size=30), 'image_size 30 x 30 is not divisible by patch_size 8: choose multiples, e.g. 24 x 24'),
        (dict(photos='nowhere'), 'images nowhere does not exist: give a folder of images, a list file or an image'),
        (dict(photos=[]), 'images are a folder, an image, a list file, or a list of these; found []'),
        (dict(weights='nowhere.pth'), "no checkpoint file or work_dir 'nowhere.pth'"),
    ],
)
def test_a_mistake_is_one_line(settings, line, photos, weights, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as error:
        small(**dict(dict(weights=weights, photos=photos), **settings))
    assert str(error.value).startswith(line) and '\n' not in str(error.value)


def test_a_folder_without_images_and_one_without_readable_ones(weights, tmp_path):
    with pytest.raises(UserError, match=r'^no image in .*: looked for \.jpg'):
        small(weights, tmp_path)
    for name in 'ab':
        (tmp_path / f'{name}.jpg').write_bytes(b'no image')
    for workers in (0, 1):
        with pytest.raises(UserError, match=r'^none of the 2 images in .* can be read: a.jpg is the first$'):
            small(weights, tmp_path, num_workers=workers)


def test_a_class_token_that_a_model_does_not_have(photos, tmp_path):
    vit = VisionTransformer(32, 8, embed_dim=64, depth=1, num_heads=2, num_classes=0, class_token=False, global_pool='')
    torch.save(vit.state_dict(), tmp_path / 'vit.pth')
    with pytest.raises(UserError, match=r"vit.pth has no class token: choose pool='patches'$"):
        small(tmp_path / 'vit.pth', photos, pool='class', arch='64x1x2', init='mae')
    found = small(tmp_path / 'vit.pth', photos, arch='64x1x2', init='mae')
    with torch.no_grad():
        assert_equal(found.values, vit.eval().forward_features(crops(photos, found.names)).mean(1))


def test_images_of_other_bands_are_refused(photos, tmp_path):
    vit = VisionTransformer(32, 8, in_chans=5, embed_dim=64, depth=1, num_heads=2, num_classes=0)
    torch.save(vit.state_dict(), tmp_path / 'five.pth')
    settings = dict(bands=(1, 2, 3, 4, 5), mean=[9.0] * 5, std=[2.0] * 5, arch='64x1x2')
    with pytest.raises(UserError, match='band') as error:
        small(tmp_path / 'five.pth', photos, **settings)
    assert '\n' not in str(error.value)
    (tmp_path / 'scans').mkdir()
    values = np.random.default_rng(0).integers(0, 4096, (40, 48, 5), dtype=np.uint16)
    tifffile.imwrite(tmp_path / 'scans' / 'a.tif', values, photometric='minisblack')
    found = small(tmp_path / 'five.pth', tmp_path / 'scans', **settings)
    image = CentreCrop(32)(values.astype(np.float32))
    with torch.no_grad():
        tokens = vit.eval().forward_features(((image - 9) / 2)[None])
    assert_equal(found.values, tokens[:, 1:].mean(1))


@pytest.mark.parametrize('pool', ['patches', 'class'])
def test_a_pre_training_embeds_without_masks(pool, runs, photos):
    trained = load(runs('pretrain').work_dir, device='cpu')
    found = embed(trained, photos, pool=pool)
    height, width = (side * trained.vit.patch_size for side in trained.vit.grid)
    with torch.no_grad():
        tokens = trained.vit.tokens(crops(photos, found.names, height))
    assert height == width and found.made_by['image_size'] == [height, width]
    assert_equal(found.values, tokens[:, 0] if pool == 'class' else tokens[:, 1:].mean(1))
    again = embed(str(runs('pretrain').work_dir), photos, pool=pool, device='cpu')
    assert np.array_equal(again.values, found.values) and again.made_by['weights'] == found.made_by['weights']


def test_a_fine_tuned_classifier_gives_what_its_head_sees(runs, photos):
    trained = load(runs('classify').work_dir, device='cpu')
    found = embed(trained, photos)
    with torch.no_grad():
        expected = trained.model.features(crops(photos, found.names, trained.vit.grid[0] * trained.vit.patch_size))
    assert_equal(found.values, expected)
    assert found.made_by['norm'] == 'fc_norm of the mean'
    with pytest.raises(UserError, match=r"the class token of .* was not trained: .*; choose pool='patches'$"):
        embed(trained, photos, pool='class')


def test_a_detector_has_patches_and_no_class_token(runs, photos):
    trained = load(runs('detect').work_dir, device='cpu')
    found = embed(trained, photos, image_size=64)
    assert found.made_by['norm'] == 'none' and found.made_by['mean'] == list(RGB_MEAN)
    with torch.no_grad():
        last = trained.vit(crops(photos, found.names, 64))[-1]
    assert_equal(found.values, last.flatten(2).mean(2))
    with pytest.raises(UserError, match=r'has no class token|was not trained'):
        embed(trained, photos, pool='class', image_size=64)
    with pytest.raises(UserError, match='^arch of a trained model are those of its run: leave them out$'):
        embed(trained, photos, arch=ARCH)


def test_a_checkpoint_of_a_run_is_taken_as_a_bare_vit_where_its_size_is_given(runs, photos):
    work_dir = runs('pretrain').work_dir
    of_run = embed(str(work_dir), photos, device='cpu')
    trained = load(work_dir, device='cpu')
    arch = f'{trained.vit.embed_dim}x{trained.vit.depth}x{trained.vit.size.num_heads}'
    bare = embed(str(work_dir), photos, arch=arch, device='cpu')
    np.testing.assert_allclose(bare.values, of_run.values, rtol=0, atol=1e-5)


@pytest.mark.parametrize('turn', [False, True])
def test_images_are_turned_where_that_is_asked_for(turn, weights, tmp_path):
    save_photo(tmp_path / 'plain' / 'a.png', size=(40, 32))
    with Image.open(tmp_path / 'plain' / 'a.png') as image:
        exif = image.getexif()
        exif[0x0112] = 3
        (tmp_path / 'marked').mkdir()
        image.save(tmp_path / 'marked' / 'a.png', exif=exif)
        image.rotate(180).save(tmp_path / 'plain' / 'b.png')
    expected = small(weights, tmp_path / 'plain').values[int(turn)]
    found = small(weights, tmp_path / 'marked', exif_orientation=turn).values[0]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def test_the_weights_of_two_models_are_told_apart(photos, weights, tmp_path):
    one = small(weights, photos).made_by
    state = timm_vit().state_dict()
    state['blocks.1.mlp.fc1.bias'][3] += 1e-6
    torch.save(state, tmp_path / 'near.pth')
    other = small(tmp_path / 'near.pth', photos).made_by
    assert {key for key in one if one[key] != other[key]} == {'weights', 'model'}
