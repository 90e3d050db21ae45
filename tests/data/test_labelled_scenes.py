"""Images with label maps: each mistake is reported in one line that names the file; correct files are read."""

from pathlib import Path

import numpy as np
import pytest
from mmseg.datasets import ADE20KDataset
from PIL import Image

from mae_transfer.data.labelled_scenes import LabelledScenes, check_label_map
from mae_transfer.errors import UserError
from tests.own_data import label_map, photo, write_scenes

ADE_MINI = Path(__file__).parents[3] / 'shared' / 'data' / 'ade_mini'
PIPELINE = [dict(type='mmseg.LoadImageFromFile'), dict(type='mae_transfer.LoadLabels'), dict(type='mmseg.PackSegInputs')]
CLASSES = ('road', 'field')


def build(root, classes=CLASSES, pipeline=PIPELINE, **settings):
    prefix = dict(img_path='images/training', seg_map_path='annotations/training')
    return LabelledScenes(
        data_root=str(root),
        pipeline=pipeline,
        serialize_data=False,
        **dict(  # serialising collects garbage: .4 s
            dict(data_prefix=prefix, metainfo=None if classes is None else dict(classes=classes)), **settings
        ),
    )


@pytest.fixture
def scenes(tmp_path):
    return write_scenes(tmp_path)


def labels_of(dataset, index=0):
    return dataset[index]['data_samples'].gt_sem_seg.data.squeeze().numpy()


@pytest.mark.parametrize('save', ['grey', 'palette', '16 bit', 'black and white'])
@pytest.mark.parametrize('zero_is_none', [True, False])
def test_labels_are_read_from_every_image_mode_with_one_number_per_pixel(save, zero_is_none, scenes):
    """In a palette image the index is the label, regardless of its colour."""
    file = scenes / 'annotations/training/0.png'
    values = np.array(Image.open(file))
    if save == 'black and white' or not zero_is_none:
        values = values % 2
    picture = Image.fromarray(values.astype(np.uint16 if save == '16 bit' else np.uint8))
    if save == 'palette':
        picture = Image.fromarray(values, 'P')
        picture.putpalette([200, 30, 40, 10, 200, 30, 7, 7, 250])
    picture = picture.point(lambda value: 255 * value, '1') if save == 'black and white' else picture
    picture.save(file)
    for i in (1, 2):
        label_map(scenes / f'annotations/training/{i}.png', [(103, 61), (64, 64)][i - 1], high=1)
    found = labels_of(build(scenes, reduce_zero_label=zero_is_none))
    assert np.array_equal(found, np.where(values == 0, 255, values - 1) if zero_is_none else values)


def test_without_classes_ade20k_s_are_used(scenes):
    meta = build(scenes, classes=None).metainfo
    assert meta['classes'] == ADE20KDataset.METAINFO['classes'] and meta['palette'] == ADE20KDataset.METAINFO['palette']
    assert meta['reduce_zero_label'] and meta['label_map'] is None


@pytest.mark.parametrize(
    'classes', [CLASSES, tuple(f'class {i}' for i in range(150)), ADE20KDataset.METAINFO['classes']]
)
def test_the_palette_is_given_or_ade20k_s_for_its_classes_or_distinct_colours(classes, scenes):
    palette = build(scenes, classes).metainfo['palette']
    assert (palette == ADE20KDataset.METAINFO['palette']) == (classes == ADE20KDataset.METAINFO['classes'])
    assert len({tuple(colour) for colour in palette}) == len(palette) == len(classes) or classes[0] == 'wall'
    own = [[i, 0, 9] for i in range(len(classes))]
    assert build(scenes, metainfo=dict(classes=classes, palette=own)).metainfo['palette'] == own


def test_255_is_ignored(scenes):
    file = scenes / 'annotations/training/0.png'
    labels = np.array(Image.open(file))
    labels[:9] = 255
    Image.fromarray(labels).save(file)
    assert (labels_of(build(scenes))[:9] == 255).all()


def paint(value, dtype=np.uint8, size=(90, 70)):
    def spoil(root):
        labels = np.ones(size, dtype)
        labels[5, 6] = value
        Image.fromarray(labels).save(root / 'annotations/training/0.png')

    return spoil


def recolour(mode):
    def spoil(root):
        file = root / 'annotations/training/0.png'
        Image.open(file).convert(mode).save(file)

    return spoil


MISTAKES = {
    'value': (
        paint(3),
        r'label map .*training/0.png contains the value 3; expected 1..2 for the classes and 0 or 255 for ignored',
    ),
    'value above 255': (
        paint(257, np.uint16),
        r'0.png contains the value 257; expected 1..2',
    ),  # which would be 1 in 8 bits
    'colours': (recolour('RGB'), r'0.png is a colour image \(mode RGB\): give one number per pixel'),
    'transparency': (recolour('LA'), r'0.png is a colour image \(mode LA\)'),
    'size': (paint(1, size=(90, 71)), r'0.png is 71 x 90 pixels, but its image is 70 x 90: give both the same size'),
    'no picture': (
        lambda root: (root / 'annotations/training/0.png').write_bytes(b'nothing'),
        r'0.png cannot be read: cannot identify',
    ),
    'no image': (
        lambda root: (root / 'images/training/0.jpg').write_bytes(b'nothing'),
        r'image .*training/0.jpg cannot be read',
    ),
}


@pytest.mark.parametrize('name', MISTAKES)
@pytest.mark.parametrize('late', [False, True], ids=['on start-up', 'when loaded'])
def test_a_mistake_is_reported_in_one_line(name, late, scenes):
    spoil, says = MISTAKES[name]
    dataset = build(scenes, lazy_init=True)
    if late:
        dataset.full_init()
        dataset._validated.clear()
    spoil(scenes)
    with pytest.raises(UserError, match=says) as caught:
        dataset[0] if late else dataset.full_init()
    assert '\n' not in str(caught.value) and str(scenes) in str(caught.value)


def test_without_reduce_zero_label_the_classes_begin_at_zero(scenes):
    paint(2)(scenes)
    with pytest.raises(
        UserError, match=r'value 2; expected 0..1 for .* and 255 for ignored pixels \(reduce_zero_label=False\)'
    ):
        build(scenes, reduce_zero_label=False)


def test_each_label_map_is_checked_once(scenes, monkeypatch):
    """When it is first loaded; eight of them on start-up."""
    for i in range(3, 30):
        photo(scenes / f'images/training/{i}.jpg', (20, 20))
        label_map(scenes / f'annotations/training/{i}.png', (20, 20))
    checked = []
    monkeypatch.setattr(
        'mae_transfer.data.labelled_scenes.check_label_map',
        lambda path, *args, **kwargs: checked.append(Path(path).name),
    )
    dataset = build(scenes)
    assert len(checked) == 8
    for i in [*range(30), *range(30)]:
        dataset[i]
    assert len(checked) == len(set(checked)) == 30


@pytest.mark.parametrize(
    'spoil, says',
    [
        (
            lambda root: (root / 'annotations/training/1.png').unlink(),
            r"images/training: 1 of 3 images have no label map '\*.png' in .*annotations/training, "
            'e.g. .*1.jpg: give each image a label map',
        ),
        (
            lambda root: (root / 'images/training/1.jpg').unlink(),
            r"/training: 1 of 3 label maps have no image '\*.jpg' in .*1.png",
        ),
        (
            lambda root: [file.rename(file.with_suffix('.jpeg')) for file in (root / 'images/training').iterdir()],
            r"images/training contains no image '\*.jpg': set data_root, or the data set's img_suffix",
        ),
    ],
)
def test_images_and_label_maps_without_a_counterpart_are_refused(spoil, says, scenes):
    spoil(scenes)
    with pytest.raises(UserError, match=says):
        build(scenes)


def test_a_list_of_names_may_omit_files(scenes):
    (scenes / 'some.txt').write_text('0\n2\n')
    assert [Path(build(scenes, ann_file='some.txt').get_data_info(i)['img_path']).name for i in range(2)] == [
        '0.jpg',
        '2.jpg',
    ]
    (scenes / 'some.txt').write_text('0\n7\n')
    with pytest.raises(UserError, match=r'some.txt: .*7.jpg does not exist \(2 of 4 checked files are missing\)'):
        build(scenes, ann_file='some.txt')


def test_palettes_are_refused_if_opencv_decodes_them(scenes):
    recolour('P')(scenes)
    pipeline = [PIPELINE[0], dict(type='mmseg.LoadAnnotations', imdecode_backend='cv2'), PIPELINE[2]]
    with pytest.raises(
        UserError, match="0.png has a palette, which OpenCV reads as colours: set imdecode_backend='pillow'"
    ):
        build(scenes, pipeline=pipeline)


def test_the_size_of_an_image_follows_its_exif_orientation(tmp_path):
    photo(tmp_path / 'a.jpg', (30, 20))
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.open(tmp_path / 'a.jpg').save(tmp_path / 'a.jpg', exif=exif)
    label_map(tmp_path / 'a.png', (20, 30))
    check_label_map(str(tmp_path / 'a.png'), str(tmp_path / 'a.jpg'), 2, True)
    label_map(tmp_path / 'a.png', (30, 20))
    with pytest.raises(UserError, match='is 30 x 20 pixels, but its image is 20 x 30'):
        check_label_map(str(tmp_path / 'a.png'), str(tmp_path / 'a.jpg'), 2, True)


def test_too_many_classes_are_refused(scenes):
    with pytest.raises(
        UserError,
        match='255 classes are too many: a label map of MMSegmentation has room for 254 with reduce_zero_label=True',
    ):
        build(scenes, tuple(map(str, range(255))))


@pytest.mark.skipif(not ADE_MINI.is_dir(), reason='ADE20K images are not available')
def test_real_ade20k_passes():
    dataset = build(ADE_MINI, classes=None)
    assert all(dataset[i] is not None for i in range(len(dataset))) and len(dataset) == 10
