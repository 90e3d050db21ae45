"""The demo scenes: the same on any machine, and the annotations of a scene agree with each other."""

import contextlib
import io
import json

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image
from pycocotools.coco import COCO

from mae_transfer.data.scenes.ground import STUFF_CLASSES
from mae_transfer.data.scenes.objects import THING_CLASSES
from mae_transfer.data.scenes.painting import SEMANTIC_CLASSES, SEMANTIC_PALETTE, paint_scene
from mae_transfer.data.scenes.quickstart import coco_polygons, main, write_scenes

# Of pycocotools 2.0 with NumPy 2.
pytestmark = pytest.mark.filterwarnings('ignore:__array__ implementation:DeprecationWarning')

SMALL = dict(photos=3, train=5, val=2, size=48, seed=7)


def scenes(size, count, split=0):
    return [paint_scene(np.random.default_rng([0, split, index]), size) for index in range(count)]


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob('*')) if path.is_file()}


def load(path):
    with contextlib.redirect_stdout(io.StringIO()):
        return COCO(str(path))


@pytest.fixture(scope='module')
def written(tmp_path_factory):
    out = tmp_path_factory.mktemp('scenes') / 'here'
    assert write_scenes(out, **SMALL, workers=1)
    return out


@pytest.mark.parametrize('size', [32, 48, 96])
def test_the_annotations_of_a_scene_agree(size):
    for scene in scenes(size, 25):
        assert scene.image.shape == (size, size, 3) and scene.image.dtype == np.uint8
        assert scene.semantic.shape == (size, size) and scene.semantic.dtype == np.uint8
        assert scene.masks.shape == (len(scene.labels), size, size) and scene.masks.dtype == bool
        assert 1 <= len(scene.labels) <= 5
        assert scene.masks.sum(0).max() == 1, 'a pixel belongs to two objects'
        assert scene.masks.sum((1, 2)).min() >= 30
        for label, mask in zip(scene.labels, scene.masks):
            assert (scene.semantic[mask] == len(STUFF_CLASSES) + 1 + label).all()
        ground = scene.semantic[~scene.masks.any(0)]
        assert ground.min() >= 1 and ground.max() <= len(STUFF_CLASSES)


@pytest.mark.parametrize('size', [48, 96])
def test_painting_is_deterministic(size):
    for first, again in zip(scenes(size, 3), scenes(size, 3)):
        assert first.labels == again.labels
        for name in ('image', 'masks', 'semantic'):
            np.testing.assert_array_equal(getattr(first, name), getattr(again, name))


def test_splits_and_indices_paint_different_scenes():
    images = [scene.image.tobytes() for split in range(3) for scene in scenes(48, 4, split)]
    assert len(set(images)) == len(images)


def test_every_class_occurs_in_a_few_scenes():
    seen = np.unique(np.concatenate([np.unique(scene.semantic) for scene in scenes(48, 24)]))
    assert seen.tolist() == list(range(1, len(SEMANTIC_CLASSES) + 1))


def test_every_annotated_object_shows_a_pattern():
    for scene in scenes(96, 10):
        for mask in scene.masks:
            assert scene.image[mask].std() > 10, 'an object without a pattern'


def test_constants_fit_each_other():
    assert SEMANTIC_CLASSES == STUFF_CLASSES + THING_CLASSES
    assert len(SEMANTIC_PALETTE) == len(SEMANTIC_CLASSES) == len({tuple(colour) for colour in SEMANTIC_PALETTE})


def test_too_small_a_scene_is_refused():
    with pytest.raises(ValueError, match='at least 32'):
        paint_scene(np.random.default_rng(0), 31)


def test_workers_do_not_change_a_byte(written, tmp_path):
    write_scenes(tmp_path / 'two', **SMALL, workers=2)
    assert contents(tmp_path / 'two') == contents(written)


def test_more_photos_do_not_change_the_others(written, tmp_path):
    write_scenes(tmp_path, **dict(SMALL, photos=4), workers=1)
    more, fewer = contents(tmp_path), contents(written)
    assert set(more) - set(fewer) == {'photos/00000003.jpg'}
    assert all(more[name] == fewer[name] for name in fewer if name != 'scenes.json')


def test_files_have_the_layouts_of_coco_and_ade20k(written):
    names = set(contents(written))
    assert sum(name.startswith('photos/') for name in names) == SMALL['photos']
    for coco, ade, count in (('train', 'training', SMALL['train']), ('val', 'validation', SMALL['val'])):
        stems = [f'{number:012d}' for number in range(1, count + 1)]
        assert {name for name in names if name.startswith(f'coco/{coco}2017/')} == {
            f'coco/{coco}2017/{stem}.jpg' for stem in stems
        }
        for stem in stems:
            image = (written / f'coco/{coco}2017/{stem}.jpg').read_bytes()
            assert image == (written / f'ade/images/{ade}/{stem}.jpg').read_bytes()
            semantic = np.array(Image.open(written / f'ade/annotations/{ade}/{stem}.png'))
            assert semantic.shape == (48, 48) and semantic.dtype == np.uint8
            assert semantic.min() >= 1 and semantic.max() <= len(SEMANTIC_CLASSES)


@pytest.mark.parametrize('split, split_id', [('train', 1), ('val', 2)])
def test_the_coco_file_describes_the_painted_scenes(written, split, split_id):
    path = written / 'coco/annotations' / f'instances_{split}2017.json'
    assert set(json.loads(path.read_text())) == {'info', 'licenses', 'images', 'annotations', 'categories'}
    coco = load(path)
    assert [category['name'] for category in coco.loadCats(coco.getCatIds())] == list(THING_CLASSES)
    assert coco.getCatIds() == list(range(1, len(THING_CLASSES) + 1))
    ade = {'train': 'training', 'val': 'validation'}[split]
    for image in coco.loadImgs(coco.getImgIds()):
        scene = paint_scene(np.random.default_rng([SMALL['seed'], split_id, image['id'] - 1]), SMALL['size'])
        assert (written / 'coco' / f'{split}2017' / image['file_name']).exists()
        stored = np.array(Image.open(written / 'ade/annotations' / ade / image['file_name'].replace('jpg', 'png')))
        np.testing.assert_array_equal(stored, scene.semantic)
        annotations = coco.loadAnns(coco.getAnnIds(image['id']))
        assert [annotation['category_id'] for annotation in annotations] == [label + 1 for label in scene.labels]
        for annotation, mask in zip(annotations, scene.masks):
            np.testing.assert_array_equal(coco.annToMask(annotation).astype(bool), mask)
            assert annotation['area'] == mask.sum() and annotation['iscrowd'] == 0
            x, y, width, height = annotation['bbox']
            assert mask[y : y + height, x : x + width].sum() == mask.sum()
            assert mask[y].any() and mask[:, x].any() and mask[y + height - 1].any() and mask[:, x + width - 1].any()


def decoded(polygons, height, width):
    coco = COCO()
    coco.imgs = {1: {'height': height, 'width': width}}
    return coco.annToMask({'image_id': 1, 'segmentation': polygons}).astype(bool)


@pytest.mark.parametrize('size', [48, 96])
def test_polygons_decode_to_the_painted_masks(size):
    for scene in scenes(size, 25):
        for mask in scene.masks:
            np.testing.assert_array_equal(decoded(coco_polygons(mask), size, size), mask)


def test_polygons_keep_holes():
    mask = np.ones((40, 40), bool)
    mask[5:15, 5:15] = mask[20:30, 8:35] = False
    mask[24:26, 12:14] = True
    np.testing.assert_array_equal(decoded(coco_polygons(mask), 40, 40), mask)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 16), st.integers(1, 16), st.floats(0.1, 1), st.integers(0, 2**32 - 1))
def test_polygons_decode_to_any_mask(height, width, density, seed):
    mask = np.random.default_rng(seed).random((height, width)) < density
    assume(mask.any())
    polygons = coco_polygons(mask)
    assert all(len(polygon) >= 6 for polygon in polygons)
    np.testing.assert_array_equal(decoded(polygons, height, width), mask)


def test_command_line_writes_once_then_refuses_other_settings(tmp_path, capsys):
    out = tmp_path / 'out'
    command = [str(out), '--photos', '2', '--train', '1', '--val', '1', '--size', '32', '--workers', '1']
    assert main(command) == 0
    assert '2 photos' in capsys.readouterr().out
    before = contents(out)
    assert main(command) == 0
    assert 'already written' in capsys.readouterr().out
    assert main([*command, '--photos', '1']) == 2
    error = capsys.readouterr().err
    assert error.count('\n') == 1 and 'photos: found 2, requested 1' in error and '--force' in error
    assert contents(out) == before
    (out / 'photos' / 'mine.jpg').write_bytes(b'kept')
    assert main([*command, '--photos', '1', '--force']) == 0
    assert sorted(path.name for path in (out / 'photos').iterdir()) == ['00000000.jpg', 'mine.jpg']


def test_after_an_interrupted_run_the_next_starts_over(tmp_path):
    arguments = dict(photos=2, train=1, val=1, size=32, workers=1)
    write_scenes(tmp_path, **arguments)
    whole = contents(tmp_path)
    path = tmp_path / 'scenes.json'
    path.write_text(json.dumps(dict(json.loads(path.read_text()), complete=False)))
    (tmp_path / 'photos/00000001.jpg').unlink()
    assert write_scenes(tmp_path, **arguments)
    assert contents(tmp_path) == whole


@pytest.mark.parametrize(
    'arguments, message',
    [(['--size', '16'], 'at least 32'), (['--photos', '-1'], 'photos is -1'), (['--workers', '0'], 'workers is 0')],
)
def test_invalid_settings_are_refused_in_one_line(tmp_path, capsys, arguments, message):
    assert main([str(tmp_path / 'out'), *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count('\n') == 1
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize('force', [[], ['--force']])
def test_data_that_the_tool_did_not_write_is_never_changed(tmp_path, capsys, force):
    (tmp_path / 'coco').mkdir()
    (tmp_path / 'coco/real.txt').write_text('real')
    assert main([str(tmp_path), *force]) == 2
    assert 'coco' in capsys.readouterr().err
    (tmp_path / 'scenes.json').write_text('[]')
    assert main([str(tmp_path), *force]) == 2
    assert 'was not written by' in capsys.readouterr().err
    assert main([str(tmp_path / 'scenes.json'), *force]) == 2
    assert 'is a file' in capsys.readouterr().err
    assert set(contents(tmp_path)) == {'coco/real.txt', 'scenes.json'}
