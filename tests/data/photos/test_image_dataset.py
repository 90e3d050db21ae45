"""A user's own data set: the contract of ``ImageDataset``."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from mae_transfer.data import (
    ClassBalancedDataset,
    ConcatDataset,
    ImageDataset,
    LabelledPhotos,
    Photos,
    RepeatDataset,
    SeededSampler,
    collate_labelled,
)
from mae_transfer.data.files.unreadable import UnreadableError
from mae_transfer.errors import UserError
from mae_transfer.evaluation import Accuracy
from tests.data.photos.wrapped import parts_of
from tests.helpers import save_photo


class Squares(ImageDataset):
    """Grey squares, some of which cannot be read."""

    def __init__(self, count: int, bad: tuple[int, ...] = (), training: bool = True):
        super().__init__(Path('squares'), training=training, skip_unreadable=training)
        self.count, self.bad = count, bad

    def __len__(self) -> int:
        return self.count

    def name(self, index: int) -> str:
        return f'{index}.png'

    def read(self, index: int) -> Image.Image:
        if index in self.bad:
            raise OSError('unreadable')
        return Image.new('L', (4, 4), index)

    def item(self, image: Image.Image, index: int, seed: int) -> dict:
        noise = torch.rand(())
        return dict(inputs=torch.tensor([image.getpixel((0, 0)), index]), seed=seed, noise=noise, indices=index)


def test_a_user_s_own_data_set_needs_four_methods():
    squares = Squares(5, bad=(1, 4))
    torch.manual_seed(1)
    found = [squares[index, 10 + index] for index in range(5)]
    assert [item['indices'] for item in found] == [0, 2, 2, 3, 0]
    assert [item['skipped'] for item in found] == [[], ['1.png'], [], [], ['4.png']]
    assert [item['seed'] for item in found] == [10, 11, 12, 13, 14]
    assert squares.metainfo == {} and len(list(squares)) == 5
    state = torch.get_rng_state()
    assert torch.equal(squares[2, 12]['noise'], found[2]['noise']) and torch.equal(torch.get_rng_state(), state)
    with pytest.raises(UserError, match='^squares/1.png cannot be read as an image: an evaluation leaves no image out'):
        Squares(5, bad=(1,), training=False)[1]
    with pytest.raises(UserError, match='none of the 2 images in squares can be read: 1.png is the first'):
        Squares(2, bad=(0, 1))[1]


@pytest.mark.parametrize('training', [True, False])
def test_an_image_s_own_item_is_never_that_of_another(training):
    torch.manual_seed(0)
    squares = Squares(5, bad=(1, 4), training=training)
    assert torch.equal(squares.own_item(2)['noise'], squares[2, 2]['noise'])
    assert squares.own_item(2)['indices'] == 2 and squares.own_item(2)['skipped'] == []
    with pytest.raises(UnreadableError) as caught:
        squares.own_item(4)
    assert (caught.value.path, caught.value.reason) == ('squares/4.png', '')


@pytest.mark.filterwarnings('ignore:This DataLoader will create')
@pytest.mark.parametrize('workers', [0, 2])
def test_a_user_s_own_data_set_works_in_the_wrappers_and_with_the_sampler(workers):
    one, other = Squares(3, bad=(2,)), Squares(4)
    dataset = RepeatDataset(ConcatDataset([one, other]), times=2)
    assert dataset.metainfo == {} and len(dataset) == 14
    sampler = SeededSampler(dataset, seed=5)
    loaded = DataLoader(dataset, 4, sampler=sampler, num_workers=workers, collate_fn=list)
    items = [item for batch in loaded for item in batch]
    for item, (index, seed) in zip(items, sampler, strict=True):
        inner = index % 7
        part, place = (one, inner) if inner < 3 else (other, inner - 3)
        expected = part[place, seed]
        assert item['seed'] == seed and torch.equal(item['noise'], expected['noise'])
        assert torch.equal(item['inputs'], expected['inputs']) and item['skipped'] == expected['skipped']
        assert item['indices'] == (index - 2 if inner == 2 else index)


class NamedSquares(Squares):
    """Squares that have classes."""

    def __init__(self, count: int):
        super().__init__(count)
        self.metainfo['classes'] = ('ant', 'bee', 'cat')


def test_all_classes_are_present_if_a_data_set_does_not_say_which(roots, tmp_path):
    save_photo(tmp_path / 'val' / 'bee' / 'x.png', size=(8, 8))
    part = LabelledPhotos(str(tmp_path), 'val', classes=('ant', 'bee', 'cat'), img_size=8)
    for datasets in ([NamedSquares(2), part], [part, NamedSquares(2)]):
        assert ConcatDataset(datasets).metainfo.get('present', (0, 1, 2)) == (0, 1, 2)


class LabelledSquares(NamedSquares):
    """Squares that have one label each, for classification."""

    def get_cat_ids(self, index: int) -> list[int]:
        return [min(index, 2)]

    def item(self, image: Image.Image, index: int, seed: int) -> dict:
        pixels = torch.full((1, 4, 4), image.getpixel((0, 0)), dtype=torch.uint8)
        return dict(inputs=pixels, labels=min(index, 2), indices=index)


def test_a_user_s_own_labelled_data_set_can_be_balanced_collated_and_evaluated():
    """Its rare classes 0 and 1 have one image each, class 2 has four."""
    balanced = ClassBalancedDataset(LabelledSquares(6), 2 / 3 - 1e-6)
    (batch,) = DataLoader(balanced, 8, collate_fn=collate_labelled)
    assert batch['inputs'][:, 0, 0, 0].tolist() == [0, 0, 1, 1, 2, 3, 4, 5]
    assert batch['labels'].tolist() == [0, 0, 1, 1, 2, 2, 2, 2]
    assert batch['indices'].tolist() == list(range(8))
    metric = Accuracy(topk=(1,))
    metric.dataset_meta = balanced.metainfo
    metric.process(batch, [dict(scores=scores) for scores in torch.eye(3)[batch['labels']]])
    assert metric.evaluate(8) == {'accuracy/top1': 100, 'accuracy/mean_class': 100}


@pytest.mark.parametrize('kind', ['own', 'photos'])
def test_without_labels_classes_cannot_be_balanced(kind, roots):
    dataset = Squares(3) if kind == 'own' else parts_of('photos', roots)[0]
    with pytest.raises(UserError) as caught:
        ClassBalancedDataset(dataset, 0.5)
    assert '\n' not in str(caught.value)


# --- large images -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize('kind', ['photos', 'labelled'])
def test_an_image_above_the_limit_is_told_apart_from_damage(kind, tmp_path):
    for name in ('a', 'b'):
        save_photo(tmp_path / 'x' / f'{name}.png', size=(40, 30) if name == 'a' else (8, 8))

    def first(most, training=True):
        if kind == 'photos':
            return Photos(str(tmp_path), 'val', img_size=4, hold_out=1, max_pixels=most)[0]
        return LabelledPhotos(str(tmp_path), None, img_size=4, max_pixels=most, skip_unreadable=training)[0]

    assert first(1200)['skipped'] == first(None)['skipped'] == []
    assert first(1199)['skipped'] == ['x/a.png (has 1,200 pixels, more than max_pixels=1,199)']
    if kind == 'labelled':
        with pytest.raises(UserError, match='x/a.png has 1,200 pixels, more than max_pixels=1,199: choose more'):
            first(1199, training=False)


def test_an_image_of_182_million_pixels_is_read(tmp_path):
    """Pillow's own limit is 179 million."""
    Image.new('1', (13500, 13500)).save(tmp_path / 'a.png')
    dataset = Photos(str(tmp_path / 'a.png'), 'val', img_size=4, bands='L')
    seen = []
    dataset.read = lambda index: seen.append(Image.open(tmp_path / dataset.name(index)).size) or Image.new('L', (4, 4))
    assert dataset[0]['skipped'] == [] and seen == [(13500, 13500)]


@pytest.mark.parametrize('most', [0, -1, 'many', 2.5])
def test_an_impossible_limit_is_refused(most, tmp_path):
    save_photo(tmp_path / 'x' / 'a.png')
    for kind, split in ((Photos, 'train'), (LabelledPhotos, None)):
        with pytest.raises(UserError, match='max_pixels is a number of pixels, 1 or more, or None for no limit; found'):
            kind(str(tmp_path), split, max_pixels=most)
