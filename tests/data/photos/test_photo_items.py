"""Photos as items and batches: crops, augmentation, seeds."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from mae_transfer.data import Photos, SeededSampler, collate_photos
from mae_transfer.errors import UserError
from tests.helpers import photo_folder


@pytest.mark.parametrize('split', ['train', 'val'])
def test_an_item_is_a_uint8_crop_with_its_seed(tmp_path, split):
    item = Photos(str(photo_folder(tmp_path, 4)), split, img_size=(16, 24), hold_out=0.5)[1, 77]
    assert item['inputs'].shape == (3, 16, 24) and item['inputs'].dtype == torch.uint8
    assert item['seeds'] == 77


COLOUR, GREY = (200, 30, 90), (88, 88, 88)  # the grey is the colour's luma


@pytest.mark.parametrize(
    'mode, suffix, seen',
    [
        ('RGB', '.png', COLOUR),
        ('L', '.png', GREY),
        ('P', '.png', COLOUR),
        ('RGBA', '.png', COLOUR),
        ('CMYK', '.jpg', COLOUR),
        ('1', '.png', (255, 255, 255)),
        ('LA', '.png', GREY),
    ],
)
def test_every_colour_mode_becomes_rgb(tmp_path, mode, suffix, seen):
    image = Image.new('RGB', (20, 20), COLOUR)
    image = image.quantize() if mode == 'P' else Image.new('1', (20, 20), 1) if mode == '1' else image.convert(mode)
    for name in ('a', 'b'):
        image.save(tmp_path / (name + suffix))
    assert Image.open(tmp_path / f'a{suffix}').mode == mode
    item = Photos(str(tmp_path), img_size=8)[0]['inputs']
    assert item.shape == (3, 8, 8)
    assert (item.int() - torch.tensor(seen)[:, None, None]).abs().max() <= 3  # JPEG rounds


def test_mode_l_has_one_channel(tmp_path):
    item = Photos(str(photo_folder(tmp_path, 2)), img_size=8, bands='L')[0]
    assert item['inputs'].shape == (1, 8, 8) and item['inputs'].dtype == torch.uint8


def gradient(path: Path, size: tuple[int, int]) -> None:
    """Red grows with x, green with y, from 0 to 255."""
    x, y = np.meshgrid(np.linspace(0, 255, size[0]), np.linspace(0, 255, size[1]))
    Image.fromarray(np.stack([x, y, np.zeros_like(x)], axis=-1).round().astype(np.uint8)).save(path)


def test_a_val_crop_is_the_centre_at_seven_eighths(tmp_path):
    for name in ('a.png', 'b.png'):
        gradient(tmp_path / name, (512, 256))
    image = Photos(str(tmp_path), 'val', img_size=224)[0]['inputs'].float()
    # The shorter side of 256 keeps its size; the crop has rows 16..240 and columns 144..368.
    assert image[1, 0].mean().item() == pytest.approx(16, abs=1) and image[1, -1].mean().item() == pytest.approx(
        239, abs=1
    )
    assert image[0, :, 0].mean().item() == pytest.approx(144 / 512 * 255, abs=1)


@pytest.mark.parametrize('scale', [(0.2, 0.2), (0.5, 0.5), (1.0, 1.0)])
def test_a_training_crop_shows_the_given_share_of_the_photo(tmp_path, scale):
    for name in ('a.png', 'b.png'):
        gradient(tmp_path / name, (256, 256))
    photos, shares, flipped = Photos(str(tmp_path), img_size=32, scale=scale), [], 0
    for seed in range(40):
        image = photos[0, seed]['inputs'].float()
        width = image[0, :, -1].mean() - image[0, :, 0].mean()
        height = image[1, -1].mean() - image[1, 0].mean()
        shares.append((width * height).abs().item() / (255 * 31 / 32) ** 2)
        flipped += int(width < 0)
        assert height > 0
    assert np.median(shares) == pytest.approx(scale[0], rel=0.12)
    assert 8 < flipped < 32


# --- augmentation (Table 1e) ------------------------------------------------------------------------------------------
def test_no_augmentation_shows_the_centre_unflipped(tmp_path):
    source = str(photo_folder(tmp_path, 2))
    train, val = (Photos(source, split, img_size=16, augment='none', hold_out=0.5) for split in ('train', 'val'))
    train.files = val.files
    for seed in range(8):
        assert torch.equal(train[0, seed]['inputs'], val[0]['inputs'])


@pytest.mark.parametrize('img_size', [224, (224, 112)])
def test_crops_of_fixed_size_move_and_flip_and_keep_their_scale(tmp_path, img_size):
    for name in ('a.png', 'b.png'):
        gradient(tmp_path / name, (256, 256))
    photos, lefts, tops = Photos(str(tmp_path), img_size=img_size, augment='fixed_size'), set(), set()
    height, width = np.broadcast_to(img_size, 2)
    for seed in range(30):
        image = photos[0, seed]['inputs'].float()
        left, right = image[0, :, 0].mean().item(), image[0, :, -1].mean().item()
        assert abs(right - left) == pytest.approx(width - 1, abs=1)  # one pixel is one level of red
        assert (image[1, -1] - image[1, 0]).mean().item() == pytest.approx(height - 1, abs=1)
        lefts.add((round(min(left, right)), left > right))
        tops.add(round(image[1, 0].mean().item()))
    assert {flipped for _, flipped in lefts} == {True, False}
    assert len(lefts) > 8 and len(tops) > 8


@pytest.mark.parametrize('augment', ['fixed_size', 'random_size'])
def test_colour_jitter_changes_colours_and_nothing_else(tmp_path, augment):
    for name in ('a.png', 'b.png'):
        Image.new('RGB', (40, 40), COLOUR).save(tmp_path / name)
    plain, jittered = (
        Photos(str(tmp_path), img_size=8, augment=augment, color_jitter=jitter)
        for jitter in (None, (0.4, 0.4, 0.2, 0.1))
    )
    colours = set()
    for seed in range(8):
        image = jittered[0, seed]['inputs']
        assert (image.flatten(1) == image[:, :1, 0]).all()  # of one colour still
        colours.add(tuple(image[:, 0, 0].tolist()))
        assert (plain[0, seed]['inputs'][:, 0, 0].int() - torch.tensor(COLOUR)).abs().max() <= 1
    assert len(colours) == 8


def test_colour_jitter_does_not_move_a_crop(tmp_path):
    for name in ('a.png', 'b.png'):
        gradient(tmp_path / name, (64, 64))
    plain, jittered = (
        Photos(str(tmp_path), img_size=16, color_jitter=jitter) for jitter in (None, (0.0, 0.0, 0.0, 0.0))
    )
    for seed in range(4):
        assert torch.equal(plain[0, seed]['inputs'], jittered[0, seed]['inputs'])


@pytest.mark.parametrize(
    'settings, words',
    [
        (dict(augment='crop'), "'random_size', 'fixed_size' or 'none'; found 'crop'"),
        (dict(color_jitter=(0.4, 0.4)), r'color_jitter is four strengths.*found \(0.4, 0.4\)'),
        (dict(augment='none', color_jitter=(0.4, 0.4, 0.2, 0.1)), "color_jitter needs random crops.*augment='none'"),
    ],
)
def test_an_invalid_augmentation_is_refused_in_one_line(tmp_path, settings, words):
    with pytest.raises(UserError, match=words) as caught:
        Photos(str(photo_folder(tmp_path, 2)), **settings)
    assert '\n' not in str(caught.value)


def test_training_crops_differ_and_val_crops_do_not(tmp_path):
    source = str(photo_folder(tmp_path, 4))
    train, val = Photos(source, 'train', img_size=16), Photos(source, 'val', img_size=16)
    assert not torch.equal(train[0]['inputs'], train[0]['inputs'])
    assert train[0]['seeds'] != train[0]['seeds']
    assert torch.equal(val[0]['inputs'], val[0]['inputs'])
    assert val[0]['seeds'] == 0


def test_a_seed_determines_the_crop_and_the_generators_keep_their_states(tmp_path, monkeypatch):
    photos = Photos(str(photo_folder(tmp_path, 4)), img_size=16)
    monkeypatch.setattr(torch.cuda, 'manual_seed_all', lambda seed: pytest.fail("the GPU's generator was seeded"))
    torch.random.default_generator.manual_seed(0)
    state = torch.random.get_rng_state()
    first = photos[0, 5]['inputs']
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.rand(3)
    assert torch.equal(photos[0, 5]['inputs'], first)
    assert not torch.equal(photos[0, 6]['inputs'], first)


@pytest.mark.filterwarnings('ignore:This DataLoader will create')  # more workers than free cores
def test_workers_do_not_change_the_batches(tmp_path):
    def batches(workers):
        photos = Photos(str(photo_folder(tmp_path, 9)), img_size=16)
        sampler = SeededSampler(photos, seed=3)
        return list(DataLoader(photos, 4, sampler=sampler, num_workers=workers, collate_fn=collate_photos))

    alone, shared = batches(0), batches(2)
    assert len(alone) == 2
    for one, other in zip(alone, shared, strict=True):
        assert torch.equal(one['inputs'], other['inputs']) and torch.equal(one['seeds'], other['seeds'])


def test_items_are_collated_to_a_batch():
    items = [
        dict(inputs=torch.full((3, 2, 2), i, dtype=torch.uint8), seeds=2**62 + i, skipped=['x.jpg'] * i)
        for i in range(3)
    ]
    batch = collate_photos(items)
    assert batch['inputs'].shape == (3, 3, 2, 2) and batch['inputs'].dtype == torch.uint8
    assert batch['seeds'].dtype == torch.int64 and batch['seeds'].tolist() == [2**62, 2**62 + 1, 2**62 + 2]
    assert batch['skipped'] == ['x.jpg'] * 3
