"""Images with label maps: each mistake is reported in one line that names the file; correct files are read."""

import re
from pathlib import Path

import numpy as np
import pytest
from mmseg.datasets import ADE20KDataset
from PIL import Image

from mae_transfer.data.label_maps.labelled_scenes import LabelledScenes
from mae_transfer.errors import UserError
from tests.data.label_maps.label_forms import FORMS, palette
from tests.own_data import SIZES, label_map, photo, write_scenes

ADE_MINI = Path(__file__).parents[4] / 'shared' / 'data' / 'ade_mini'
PIPELINE = [
    dict(type='mmseg.LoadImageFromFile'),
    dict(type='mae_transfer.LoadLabels'),
    dict(type='mmseg.PackSegInputs'),
]
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


@pytest.fixture(autouse=True)
def said(monkeypatch):
    lines = []
    monkeypatch.setattr('mae_transfer.data.label_maps.survey.print_log', lambda line, **settings: lines.append(line))
    return lines


@pytest.mark.parametrize('form', FORMS)
@pytest.mark.parametrize('zero_is_none', [True, False])
def test_label_maps_of_every_form_are_read_alike(form, zero_is_none, scenes, said):
    """In a palette image the index is the label, regardless of its colour."""
    file = scenes / 'annotations/training/0.png'
    values = np.array(Image.open(file))
    suffix, write = FORMS[form]
    file.unlink()
    write(values, file.with_suffix(suffix))
    classes = CLASSES if zero_is_none else ('other', *CLASSES)
    dataset = build(scenes, classes, reduce_zero_label=zero_is_none)
    found = labels_of(dataset)
    assert np.array_equal(found, np.where(values == 0, 255, values - 1) if zero_is_none else values)
    named = [line for line in said if 'which are read as one number per pixel' in line]
    assert len(named) == any(word in form for word in ('channels', 'alpha', 'floats'))
    assert all(f'{scenes}/annotations/training: 1 of 3 label maps examined hold ' in line for line in named)


def test_without_classes_ade20k_s_are_used(scenes):
    meta = build(scenes, classes=None).metainfo
    assert meta['classes'] == ADE20KDataset.METAINFO['classes'] and meta['palette'] == ADE20KDataset.METAINFO['palette']
    assert meta['reduce_zero_label'] and meta['label_map'] is None and meta['label_values'] is None


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
    def spoil(root, number=0):
        labels = np.ones(size, dtype)
        labels[5, 6] = value
        Image.fromarray(labels).save(root / f'annotations/training/{number}.png')

    return spoil


def colours(root):
    file = root / 'annotations/training/0.png'
    palette(np.array(Image.open(file))).convert('RGB').save(file)


MISTAKES = {
    'value': (
        paint(3),
        r'label map .*training/0.png contains the value 3; expected 1..2 for the classes and 0 or 255 for ignored',
    ),
    'value above 255': (
        paint(257, np.uint16),
        r'0.png contains the value 257; expected 1..2',
    ),  # which would be 1 in 8 bits
    'colours': (colours, r'0.png is a colour image \(mode RGB\): give one number per pixel'),
    'size': (paint(1, size=(90, 71)), r'0.png is 71 x 90 pixels, but its image is 70 x 90: give both the same size'),
}
UNREADABLE = {
    'no picture': (
        lambda root: (root / 'annotations/training/0.png').write_bytes(b'nothing'),
        r'0.png cannot be read: it is no picture, or is damaged',
    ),
    'no image': (
        lambda root: (root / 'images/training/0.jpg').write_bytes(b'nothing'),
        r'training/0.jpg (cannot be read|is not an image)',
    ),
}


@pytest.mark.parametrize('name', MISTAKES)
@pytest.mark.parametrize('late', [False, True], ids=['on start-up', 'when loaded'])
def test_a_mistake_is_reported_in_one_line(name, late, scenes):
    spoil, says = MISTAKES[name]
    dataset = build(scenes, lazy_init=True)
    if late:
        dataset.full_init()
    spoil(scenes)
    with pytest.raises(UserError, match=says) as caught:
        dataset[0] if late else dataset.full_init()
    assert '\n' not in str(caught.value) and str(scenes) in str(caught.value)


@pytest.mark.parametrize('name', UNREADABLE)
@pytest.mark.parametrize('late', [False, True], ids=['on start-up', 'when loaded'])
def test_an_unreadable_file_is_left_out_of_the_training_and_ends_an_evaluation(name, late, scenes):
    spoil, says = UNREADABLE[name]
    training, evaluation = (build(scenes, lazy_init=True, test_mode=test_mode) for test_mode in (False, True))
    if late:
        training.full_init(), evaluation.full_init()
    spoil(scenes)
    training.full_init()
    skipped = training[dataset_index(training, 0), 1]['data_samples'].metainfo['skipped']
    assert skipped and all(re.search('0.(jpg|png) ', line) and str(scenes) in line for line in skipped)
    with pytest.raises(UserError, match=says) as caught:
        evaluation[dataset_index(evaluation, 0)] if late else evaluation.full_init()
    assert '\n' not in str(caught.value) and str(scenes) in str(caught.value)


@pytest.mark.parametrize('name', UNREADABLE)
def test_training_does_not_begin_where_nothing_can_be_read(name, scenes):
    spoil, says = UNREADABLE[name]
    spoil(scenes)
    for i in (1, 2):
        for file in (f'images/training/{i}.jpg', f'annotations/training/{i}.png'):
            (scenes / file).write_bytes((scenes / file.replace(str(i), '0')).read_bytes())
    with pytest.raises(UserError, match=says.replace('0', '[012]')):
        build(scenes)


def test_without_reduce_zero_label_the_classes_begin_at_zero(scenes):
    paint(2)(scenes)
    with pytest.raises(
        UserError, match=r'value 2; expected 0..1 for .* and 255 for ignored pixels \(reduce_zero_label=False\)'
    ):
        build(scenes, reduce_zero_label=False)


def test_some_label_maps_are_examined_on_start_up_and_all_when_loaded(scenes, monkeypatch):
    """64 of small ones; fewer of large ones, but at least eight."""
    for i in range(3, 90):
        photo(scenes / f'images/training/{i}.jpg', (20, 20))
        label_map(scenes / f'annotations/training/{i}.png', (20, 20))
    examined = []
    monkeypatch.setattr(LabelledScenes, '_add_to', spy(examined, LabelledScenes._add_to))
    dataset = build(scenes)
    assert len(set(examined)) == len(examined) == 64 and {0, 89} < set(examined)
    examined.clear()
    monkeypatch.setattr('mae_transfer.data.label_maps.labelled_scenes._PIXELS', 10 * 90 * 70 + 1)
    build(scenes)
    assert len(examined) == 10
    examined.clear()
    monkeypatch.setattr('mae_transfer.data.label_maps.labelled_scenes._PIXELS', 1)
    build(scenes)
    assert len(examined) == 8
    for i in range(90):
        paint(7)(scenes, i)
        with pytest.raises(UserError, match=f'training/{i}.png contains the value 7'):
            dataset[dataset_index(dataset, i)]


def spy(calls, method):
    def watched(self, survey, index):
        calls.append(index)
        return method(self, survey, index)

    return watched


def dataset_index(dataset, name):
    return next(i for i in range(len(dataset)) if Path(dataset.get_data_info(i)['img_path']).stem == str(name))


def test_where_nothing_is_labelled_the_others_are_examined_until_something_is(scenes, monkeypatch):
    """A large set in which few images are labelled is fine."""
    monkeypatch.setattr('mae_transfer.data.label_maps.labelled_scenes._EXAMINED', 2)
    monkeypatch.setattr('mae_transfer.data.label_maps.labelled_scenes._LEAST', 2)
    for i in (0, 2):
        Image.new('L', SIZES[i]).save(scenes / f'annotations/training/{i}.png')
    assert len(build(scenes)) == 3
    Image.new('L', SIZES[1]).save(scenes / 'annotations/training/1.png')
    with pytest.raises(
        UserError, match='all 3 label maps contain only 0, of which 0 is ignored by reduce_zero_label=T'
    ):
        build(scenes)


def test_a_list_of_names_may_omit_files(scenes):
    (scenes / 'some.txt').write_text('0\n2\n')
    assert [Path(build(scenes, ann_file='some.txt').get_data_info(i)['img_path']).name for i in range(2)] == [
        '0.jpg',
        '2.jpg',
    ]


@pytest.mark.parametrize('nested', [False, True])
def test_other_readers_of_label_maps_are_refused(nested, scenes):
    """They take the remainder by 256 of large numbers, for example."""
    foreign = dict(type='mmseg.LoadAnnotations')
    if nested:
        foreign = dict(type='mmcv.TestTimeAug', transforms=[[dict(type='mmcv.RandomFlip', prob=0.0)], [foreign]])
    with pytest.raises(
        UserError,
        match="the pipeline reads label maps by 'LoadAnnotations', .*: set dict.type='mae_transfer.LoadLabels'",
    ):
        build(scenes, pipeline=[PIPELINE[0], foreign, PIPELINE[2]])


def test_images_without_label_maps_are_only_predicted(scenes):
    dataset = build(scenes, test_mode=True, data_prefix=dict(img_path='images/training', seg_map_path=None))
    assert len(dataset) == 3 and 'gt_sem_seg' not in dataset[0]['data_samples']


def test_a_single_class_is_refused(scenes):
    with pytest.raises(
        UserError,
        match="'crack' is the only class, .*: name the background, too, classes=background,crack, with reduce_z",
    ):
        build(scenes, ('crack',))


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


def test_rare_classes_can_be_repeated(scenes):
    dataset = build(scenes)
    for index, pair in enumerate(dataset.get_data_info(i) for i in range(len(dataset))):
        numbers = set(np.unique(np.array(Image.open(pair['seg_map_path']))).tolist())
        assert dataset.get_cat_ids(index) == sorted(number - 1 for number in numbers if number)


def test_another_ignored_number_is_refused_as_it_would_do_nothing(scenes):
    with pytest.raises(UserError, match='ignore_index=0 of the data set: ignored pixels become 255 .*label_values=...'):
        build(scenes, ignore_index=0)


@pytest.mark.parametrize(
    'settings, says',
    [
        (dict(reduce_zero_label='no'), "reduce_zero_label is True or False; found 'no'"),
        (dict(reduce_zero_label=None), 'reduce_zero_label is True or False; found None'),
        (
            dict(data_prefix=dict(img_path='images/training', seg_map_path=None)),
            'data_prefix.seg_map_path is None, but label maps are needed to train: set their folder, or test_mode=True',
        ),
    ],
)
def test_impossible_settings_are_refused(settings, says, scenes):
    with pytest.raises(UserError, match=says):
        build(scenes, **settings)


def test_no_prefix_is_the_data_root(scenes):
    prefix = dict(img_path=None, seg_map_path='../../annotations/training')
    assert len(build(scenes / 'images/training', data_prefix=prefix)) == 3
