"""Crops of labelled photos: the same pixels as the official pipelines, and properties of every crop."""

import math
import pickle
import random

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies
from PIL import Image
from timm.data import auto_augment, create_transform
from torchvision import transforms

from mae_transfer.data import LabelledPhotos, Photos
from mae_transfer.data.photos.crops import CentreCrop, FineTuneCrop
from mae_transfer.data.photos.random_crop import ProbeCrop
from mae_transfer.data.seeds import seeded
from mae_transfer.errors import UserError
from mae_transfer.registry import TRANSFORMS


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    """Random blocks of colour, so that different crops and colour operations give different results."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height // 4 + 1, width // 4 + 1, 3), np.uint8)
    return Image.fromarray(pixels.repeat(4, 0).repeat(4, 1)[:height, :width])


def gradient(width: int, height: int) -> Image.Image:
    """Red grows with x, green with y, from 0 to 255."""
    x, y = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return Image.fromarray(np.stack([x, y, np.zeros_like(x)], axis=-1).round().astype(np.uint8))


ALL = [FineTuneCrop, ProbeCrop, CentreCrop]


@pytest.mark.parametrize('crop', ALL)
@pytest.mark.parametrize('img_size, shape', [(32, (32, 32)), ((24, 40), (24, 40)), ([40, 24], (40, 24))])
def test_a_crop_is_a_uint8_tensor_of_the_given_size(crop, img_size, shape):
    image = TRANSFORMS.build(dict(type=crop.__name__, img_size=img_size))(noise(50, 70))
    assert image.shape == (3, *shape) and image.dtype == torch.uint8


@pytest.mark.parametrize('crop', ALL)
def test_crops_can_be_sent_to_another_process(crop):
    image, transform = noise(50, 70), crop(32)
    with seeded(3):
        here = transform(image)
    with seeded(3):
        there = pickle.loads(pickle.dumps(transform))(image)
    assert torch.equal(here, there)


# --- fine-tuning ------------------------------------------------------------------------------------------------------
MEAN, STD = torch.tensor([0.485, 0.456, 0.406])[:, None, None], torch.tensor([0.229, 0.224, 0.225])[:, None, None]


@pytest.mark.parametrize(
    'ours, theirs',
    [
        (dict(), dict(auto_augment='rand-m9-mstd0.5-inc1')),
        (dict(scale=(0.5, 0.6), hflip=0.0), dict(auto_augment='rand-m9-mstd0.5-inc1', scale=(0.5, 0.6), hflip=0.0)),
        (dict(auto_augment='augmix-m3-w3'), dict(auto_augment='augmix-m3-w3')),
        (dict(auto_augment='original'), dict(auto_augment='original')),
        (dict(auto_augment=None), dict(auto_augment=None)),
        (dict(auto_augment=None, color_jitter=0.4), dict(color_jitter=0.4)),
    ],
)
@pytest.mark.parametrize('img_size', [48, (32, 48)])
def test_fine_tuning_crops_equal_those_of_timm_s_transform(ours, theirs, img_size):
    official = create_transform(
        img_size, **dict(dict(is_training=True, color_jitter=None, interpolation='bicubic', re_prob=0.0), **theirs)
    )
    transform = FineTuneCrop(img_size, **ours)
    for seed in range(12):
        image = noise(90, 60, seed)
        with seeded(seed):
            expected = official(image)
        with seeded(seed):
            found = transform(image)
        torch.testing.assert_close((found / 255 - MEAN) / STD, expected, rtol=0, atol=1e-5)


def test_the_default_augments():
    image, changed = gradient(64, 64), 0
    for seed in range(20):
        with seeded(seed):
            augmented = FineTuneCrop(32)(image)
        with seeded(seed):
            changed += not torch.equal(augmented, FineTuneCrop(32, auto_augment=None)(image))
    assert 10 < changed < 20  # two operations, each with probability 1/2


@pytest.mark.parametrize(
    'arguments, words',
    [
        (dict(auto_augment='random'), "timm knows no augmentation auto_augment='random', color_jitter=None; MAE's is"),
        (dict(auto_augment='rand-z9'), "auto_augment='rand-z9'"),
        (dict(auto_augment='rand-m9-inc1.5'), "auto_augment='rand-m9-inc1.5'"),
        (dict(auto_augment=None, color_jitter=(0.4, 0.4)), r'color_jitter=\(0.4, 0.4\)'),
        (
            dict(color_jitter=0.4),
            "color_jitter=0.4 has no effect with auto_augment='rand-m9-mstd0.5-inc1': set one of them to None",
        ),
    ],
)
def test_an_augmentation_that_timm_does_not_know_is_refused(arguments, words):
    with pytest.raises(UserError, match=words):
        FineTuneCrop(32, **arguments)


def test_augmentation_is_for_colour_images():
    with pytest.raises(UserError, match="is for bands='RGB': set it to None"):
        FineTuneCrop(32)(Image.new('L', (40, 40)))
    assert FineTuneCrop(32, auto_augment=None)(Image.new('L', (40, 40))).shape == (1, 32, 32)


# --- linear probing ---------------------------------------------------------------------------------------------------
sides = strategies.integers(1, 3000)
shares = strategies.tuples(strategies.floats(0.001, 1), strategies.floats(0.001, 1)).map(sorted)


@settings(max_examples=300, deadline=None)
@given(sides, sides, shares, strategies.integers(0, 2**62))
def test_a_probing_box_is_inside_the_image_and_has_the_drawn_area_or_a_whole_side(width, height, scale, seed):
    with seeded(seed):
        top, left, box_height, box_width = ProbeCrop(32, tuple(scale)).box(width, height)
    assert 0 <= top <= height - box_height and 0 <= left <= width - box_width and box_height >= 1 and box_width >= 1
    area = width * height
    if 1 < box_width < width and 1 < box_height < height:
        # Each side is rounded by at most a half.
        assert (box_width - 0.5) * (box_height - 0.5) <= scale[1] * area * 1.001
        assert (box_width + 0.5) * (box_height + 0.5) >= scale[0] * area * 0.999
        assert (box_width - 0.5) / (box_height + 0.5) <= 4 / 3 * 1.001 and (box_width + 0.5) / (
            box_height - 0.5
        ) >= 3 / 4 * 0.999
    # A side is never longer than with the greatest area and the greatest ratio.
    longest = math.sqrt(scale[1] * area * 4 / 3) + 0.51
    assert box_width <= max(1, longest) and box_height <= max(1, longest)


def test_probing_boxes_follow_the_draws_of_area_ratio_top_and_left():
    """The formulas of util/crop.py with the same random numbers."""
    for seed in range(50):
        width, height = 90 + seed, 160 - seed
        with seeded(seed):
            found = ProbeCrop(32).box(width, height)
        with seeded(seed):
            area = (0.08 + 0.92 * torch.rand(1).item()) * width * height
            ratio = (3 / 4) * (16 / 9) ** torch.rand(1).item()
            w, h = min(round((area * ratio) ** 0.5), width), min(round((area / ratio) ** 0.5), height)
            assert found == (
                torch.randint(0, height - h + 1, (1,)).item(),
                torch.randint(0, width - w + 1, (1,)).item(),
                h,
                w,
            )


def test_on_an_elongated_image_the_short_side_is_clamped():
    boxes = []
    for seed in range(200):
        with seeded(seed):
            boxes.append(ProbeCrop(32, (0.5, 1.0)).box(400, 40))
    heights = np.array([box[2] for box in boxes])
    assert (heights == 40).all() and all(box[0] == 0 for box in boxes)
    widths = np.array([box[3] for box in boxes])
    assert widths.min() < 100 and 120 < widths.max() <= 146  # sqrt(400 * 40 * 4 / 3)


@pytest.mark.parametrize('scale', [(0.2, 0.2), (0.5, 0.5)])
def test_a_probing_crop_shows_its_box_and_half_of_all_crops_are_flipped(scale):
    transform, flipped = ProbeCrop(32, scale), 0
    for seed in range(40):
        with seeded(seed):
            top, left, height, width = transform.box(200, 200)
        with seeded(seed):
            image = transform(gradient(200, 200)).float()
        flip = bool(image[0, 0, 0] > image[0, 0, -1])
        flipped += flip
        red = image[0].flip(-1) if flip else image[0]
        assert red.mean().item() == pytest.approx((left + width / 2) / 200 * 255, abs=2)
        assert (red[:, -1].mean() - red[:, 0].mean()).item() == pytest.approx(width / 200 * 255 * 31 / 32, abs=3)
        assert image[1].mean().item() == pytest.approx((top + height / 2) / 200 * 255, abs=2)
    assert 10 < flipped < 30


def test_a_probing_crop_of_the_whole_image_is_the_resized_image(monkeypatch):
    monkeypatch.setattr(ProbeCrop, 'box', lambda self, width, height: (0, 0, height, width))
    image, transform = noise(90, 60).resize((120, 80), Image.Resampling.BICUBIC), ProbeCrop(32)
    bicubic = torch.from_numpy(np.array(image.resize((32, 32), Image.Resampling.BICUBIC))).permute(2, 0, 1)
    found = transform(image)
    differences = [(found.int() - other.int()).abs().max() for other in (bicubic, bicubic.flip(-1))]
    assert min(differences) <= 1 < max(differences)


# --- evaluation -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize('img_size, resized', [(224, 256), (64, 73), (96, 109), (32, 36), (448, 448), (225, 225)])
def test_evaluation_uses_the_official_resizing_and_centre_crop(img_size, resized):
    image = noise(500, 300)
    official = transforms.Compose(
        [
            transforms.Resize(resized, interpolation=transforms.InterpolationMode.BICUBIC),
            transforms.CenterCrop(img_size),
            transforms.PILToTensor(),
        ]
    )
    assert torch.equal(CentreCrop(img_size)(image), official(image))


def test_a_centre_crop_shows_the_given_share_of_the_shorter_side():
    image = CentreCrop(100, crop_pct=0.5)(gradient(400, 200)).float()
    assert image[1, 0].mean().item() == pytest.approx(50 / 200 * 255, abs=2)
    assert image[1, -1].mean().item() == pytest.approx(149 / 200 * 255, abs=2)
    assert image[0, :, 0].mean().item() == pytest.approx(150 / 400 * 255, abs=2)


@pytest.mark.parametrize('img_size', [(32, 64), (64, 32)])
@pytest.mark.parametrize('crop_pct', [None, 1.0])
@pytest.mark.parametrize('size', [(500, 80), (80, 500), (20, 20)])
def test_crops_that_are_not_square_stay_inside_the_image(img_size, crop_pct, size):
    assert CentreCrop(img_size, crop_pct)(Image.new('RGB', size, (255, 255, 255))).min() == 255  # no padding


def test_a_centre_crop_is_resized_as_it_is_told():
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 60, 3), np.uint8))
    crops = [CentreCrop(28, interpolation=name)(image) for name in ('bicubic', 'lanczos')]
    assert torch.equal(crops[0], CentreCrop(28)(image)) and not torch.equal(*crops)
    with pytest.raises(UserError, match="interpolation is one of nearest, .*lanczos.*; found 'sharp'"):
        CentreCrop(28, interpolation='sharp')


@pytest.mark.parametrize('crop_pct', [0, -1.0, 1.2, 87.5])
def test_an_invalid_share_is_refused(crop_pct):
    with pytest.raises(UserError, match='crop_pct is a share above 0 and at most 1'):
        CentreCrop(224, crop_pct)


# --- seeds ------------------------------------------------------------------------------------------------------------
def draws() -> tuple:
    return random.random(), random.gauss(0, 1), np.random.rand(), np.random.randn(), torch.rand(1).item()


@settings(deadline=None)
@given(strategies.integers(0, 2**63 - 1))
def test_a_seed_determines_every_generator_whose_state_is_restored_afterwards(seed):
    random.seed(1), np.random.seed(1), torch.default_generator.manual_seed(1)
    random.gauss(0, 1), np.random.randn()  # these generate pairs: the second number stays in the generator's state
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    with seeded(seed):
        first = draws()
    assert random.getstate() == states[0] and torch.equal(torch.get_rng_state(), states[2])
    assert all(np.array_equal(now, then) for now, then in zip(np.random.get_state(), states[1]))
    draws()
    with seeded(seed):
        assert draws() == first


def test_the_states_are_restored_after_an_error_too():
    states = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()
    with pytest.raises(KeyError), seeded(5):
        draws()
        raise KeyError
    assert (random.getstate(), np.random.get_state()[1].tolist()) == states[:2] and torch.equal(
        torch.get_rng_state(), states[2]
    )


def test_the_gpu_s_generator_is_not_seeded(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'manual_seed_all', lambda seed: pytest.fail("the GPU's generator was seeded"))
    with seeded(5):
        draws()


@pytest.mark.parametrize(
    'img_size, shorter', [(64, 73), (96, 109), (160, 182), (224, 256), (384, 384), ((96, 160), 182)]
)
def test_every_data_set_evaluates_the_same_centre_crop(img_size, shorter, tmp_path):
    """As the official evaluation (util/datasets.py): the shorter side is resized to 256 / 224 of the crop up to 224."""
    for folder in ('train/a', 'val/a'):
        (tmp_path / folder).mkdir(parents=True)
        noise(150, 130).save(tmp_path / folder / 'x.png')
    size = (img_size, img_size) if isinstance(img_size, int) else img_size
    official = transforms.Compose(
        [transforms.Resize(shorter, transforms.InterpolationMode.BICUBIC), transforms.CenterCrop(size)]
    )
    expected = torch.from_numpy(np.array(official(noise(150, 130)))).permute(2, 0, 1)
    root = str(tmp_path)
    for photos in (
        Photos(root, 'val', img_size),
        Photos(root, 'train', img_size, augment='none'),
        LabelledPhotos(root, 'val', img_size=img_size),
        LabelledPhotos(root, 'train', img_size=img_size, transform=dict(type='CentreCrop')),
        LabelledPhotos(f'{root}/val', None, img_size=img_size),
    ):
        assert torch.equal(photos[0]['inputs'], expected) and torch.equal(photos[0, 9]['inputs'], expected)


@pytest.mark.parametrize('bits, seen', [(0, 0), (1, 128), (8, 200)])
def test_posterizing_may_keep_no_bits(bits, seen):
    """RandAugment of magnitude 9 with a deviation of .5 draws that in one of a thousand images."""
    for name in ('Posterize', 'PosterizeIncreasing', 'PosterizeOriginal'):
        made = auto_augment.NAME_TO_OP[name](Image.new('RGB', (2, 2), (200, 200, 200)), bits, img_mean=(9, 9, 9))
        assert made.getpixel((0, 0)) == (seen,) * 3
