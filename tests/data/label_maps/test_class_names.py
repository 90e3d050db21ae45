"""The setting ``classes``: all data sets and heads of a config get the user's classes from it."""

import pytest
from mmengine.config import Config

from mae_transfer.data.label_maps.class_names import class_count, class_names
from mae_transfer.data.label_maps.palette import complete_metainfo, distinct_colours
from mae_transfer.errors import UserError
from mae_transfer.kinds import data_sets
from mae_transfer.settings import change_settings, read_config
from tests.configs.recipes import CONFIGS, LOADERS, load

#: Configs of detection and segmentation, and how many heads each has.
HEADS = {
    'ade20k_upernet_vitb': 2,
    'ade20k_upernet_vith_640': 2,
    'small/ade20k_upernet': 2,
    'small/overfit_ade': 1,
    'quickstart/upernet': 2,
    'coco_maskrcnn_vitb': 2,
    'coco_vitdet_vitl': 2,
    'coco_vitdet_cascade_vitb': 4,
    'small/coco_maskrcnn': 2,
    'small/overfit_coco': 2,
    'quickstart/maskrcnn': 2,
}


def counts(node) -> list[int]:
    """Every ``num_classes`` in a model's settings."""
    if isinstance(node, (list, tuple)):
        return [count for child in node for count in counts(child)]
    if not isinstance(node, dict):
        return []
    own = [node['num_classes']] if 'num_classes' in node else []
    return own + counts(list(node.values()))


def names_of(cfg: Config) -> list[tuple[str, ...]]:
    """The class names in the metainfo of each data set of a config."""
    return [dataset['metainfo']['classes'] for loader in LOADERS for dataset in data_sets(cfg[loader]['dataset'])]


# --- the names --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    'given, names',
    [
        ('cat,dog', ('cat', 'dog')),
        ("('cat','dog')", ('cat', 'dog')),
        ('[cat,dog]', ('cat', 'dog')),
        ('cat', ('cat',)),
        ("('cat',)", ('cat',)),
        ('traffic light,dog', ('traffic light', 'dog')),
        ("('traffic light', 'dog')", ('traffic light', 'dog')),
        ('traffic light', ('traffic light',)),
        ('1,2', ('1', '2')),
        ('cat,', ('cat',)),
    ],
)
@pytest.mark.parametrize('before', [None, ('horse',), 'horse'])
def test_names_are_given_by_an_option(before, given, names):
    """Regardless of the value in the config; spaces inside a name are kept."""
    cfg = change_settings(load('ade20k_upernet_vitb'), [('classes', before), f'classes={given}'])
    assert names_of(cfg) == [names] * 3
    assert counts(cfg.model.to_dict()) == [len(names)] * 2


@pytest.mark.parametrize('text', ['cat\ntraffic light\n', '\ufeffcat\r\n traffic light \r\n\r\n'])
def test_names_are_the_lines_of_a_file(text, tmp_path):
    (tmp_path / 'names.txt').write_bytes(text.encode())
    assert class_names(str(tmp_path / 'names.txt')) == ('cat', 'traffic light')
    cfg = change_settings(load('coco_maskrcnn_vitb'), [f'classes={tmp_path}/names.txt'])
    assert names_of(cfg) == [('cat', 'traffic light')] * 3 and counts(cfg.model.to_dict()) == [2, 2]


MISTAKES = [
    ((), 'classes: no class is named; give e.g. classes=cat,dog'),
    ('', 'no class is named'),
    ('cat,,dog', r'classes: name 2 of 3 is empty'),
    (('cat', 'dog', 'cat'), "classes: 'cat' is given 2 times"),
    ('no/such', 'classes: the file no/such does not exist; give a file with one name per line, or the names'),
    ('names.txt', 'classes: the file names.txt does not exist'),
    ('empty', 'empty: no class is named'),
    ('twice', "twice: 'cat' is given 2 times"),
    ('binary', r'classes: .*binary is not a text file'),
    ('dog/cat', 'a single name that looks like a file has a comma after it: classes="dog/cat,"'),
    (5, r'classes must be names, e.g. classes=cat,dog, or a file with one name per line; found 5'),
]


@pytest.mark.parametrize('classes, says', MISTAKES)
def test_invalid_names_are_refused_in_one_line(classes, says, tmp_path):
    for name, content in (('empty', b'\n'), ('twice', b'cat\ncat'), ('binary', b'\xff\x00\xd8')):
        (tmp_path / name).write_bytes(content)
    classes = str(tmp_path / classes) if classes in ('empty', 'twice', 'binary') else classes
    for read in (class_names, lambda given: change_settings(load('small/overfit_ade'), [('classes', given)])):
        with pytest.raises(UserError, match=says) as caught:
            read(classes)
        assert '\n' not in str(caught.value)


@pytest.mark.parametrize('name', ['names.csv', 'names.json', 'names.yaml'])
def test_a_file_of_more_than_names_is_refused(name, tmp_path):
    (tmp_path / name).write_text('name,r,g,b\nroad,1,2,3\n')
    with pytest.raises(UserError, match='is no list of names: give a text file with one name per line'):
        class_names(str(tmp_path / name))


@pytest.mark.parametrize('name', ['5" nail', 'nail 5"', "dog's", 'dog/cat', 'dog, big', '(dog)', '1.50'])
def test_names_in_a_file_may_have_any_signs(name, tmp_path):
    (tmp_path / 'names.txt').write_text(f'{name}\ncow\n')
    assert class_names(str(tmp_path / 'names.txt')) == (name, 'cow')


@pytest.mark.parametrize('name', ['dog, big', '(dog)', '1.50', 'dog/cat', 'names.txt', 'None'])
def test_any_name_can_be_given_in_quotes(name):
    cfg = change_settings(load('small/overfit_ade'), [f"classes='{name}','cow',"])
    assert names_of(cfg) == [(name, 'cow')] * 3


def test_a_single_name_with_a_slash_is_given_with_a_comma():
    assert names_of(change_settings(load('small/overfit_ade'), ['classes=dog/cat,'])) == [('dog/cat',)] * 3


def test_names_are_compared_without_regard_to_spaces_and_the_composition_of_accents():
    assert class_names(['traffic  light', 'cafe\N{COMBINING ACUTE ACCENT}']) == ('traffic light', 'caf\xe9')


def test_a_palette_of_another_length_is_told(monkeypatch):
    lines: list[str] = []
    monkeypatch.setattr('mae_transfer.data.label_maps.palette.print_log', lambda line, **settings: lines.append(line))
    assert len(complete_metainfo(dict(classes=('a', 'b'), palette=[[1, 2, 3]]), dict(classes=()))['palette']) == 2
    assert lines == ['palette has 1 colours for 2 classes: others are used']


def test_without_names_the_data_set_s_own_classes_are_kept():
    assert class_names(None) is None
    assert (class_count(None, 80), class_count(('cat', 'dog'), 80), class_count('cat', 80)) == (80, 2, 1)


# --- in the configs ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize('name', HEADS)
def test_all_data_sets_and_heads_of_a_config_have_the_names(name):
    cfg = change_settings(load(name), ['classes=a,b,c'])
    assert names_of(cfg) == [('a', 'b', 'c')] * 3
    assert counts(cfg.model.to_dict()) == [3] * HEADS[name]
    assert 'num_classes' not in cfg.model.get('rpn_head', {})


@pytest.mark.parametrize('name', HEADS)
def test_without_names_heads_have_the_data_set_s_own_classes(name):
    cfg = change_settings(load(name), [('classes', None)])
    assert names_of(cfg) == [None] * 3
    assert counts(cfg.model.to_dict()) == [150 if cfg.default_scope == 'mmseg' else 80] * HEADS[name]


WRAPPED = """
_base_ = ['{config}']
part = dict(type='mae_transfer.CocoImages', metainfo=dict(classes='${{class_names(classes)}}', dataset_type='mine'))
train_dataloader = dict(dataset=dict(_delete_=True, {wrapper}))
"""


@pytest.mark.parametrize(
    'wrapper, count',
    [
        ("type='RepeatDataset', times=2, dataset=part", 1),
        ("type='ConcatDataset', datasets=[part, dict(type='RepeatDataset', times=2, dataset=part)]", 2),
    ],
)
def test_data_sets_inside_wrappers_have_the_names(wrapper, count, tmp_path):
    (tmp_path / 'own.py').write_text(WRAPPED.format(config=CONFIGS / 'coco_maskrcnn_vitb.py', wrapper=wrapper))
    cfg = read_config(tmp_path / 'own.py', ['classes=a,b'])
    inner = list(data_sets(cfg.train_dataloader.dataset))
    assert [dict(part.metainfo) for part in inner] == [dict(classes=('a', 'b'), dataset_type='mine')] * count


def test_in_classification_the_setting_is_given_to_the_data_sets_as_it_is():
    cfg = change_settings(load('transfer/places365_finetune_vitl'), ['classes=data/names.txt'])
    assert {cfg[loader].dataset.classes for loader in LOADERS} == {'data/names.txt'} and cfg.model.num_classes == 365


def test_the_config_that_a_run_wrote_has_the_names_and_accepts_others(tmp_path):
    cfg = change_settings(load('small/coco_maskrcnn'), ['classes=a,b'])
    cfg.dump(str(tmp_path / 'written.py'))
    again = read_config(tmp_path / 'written.py')
    assert again.to_dict() == cfg.to_dict()
    other = change_settings(again, ['classes=x,y,z'])
    assert names_of(other) == [('x', 'y', 'z')] * 3 and counts(other.model.to_dict()) == [3, 3]


# --- colours ----------------------------------------------------------------------------------------------------------
OWN = dict(classes=('sky', 'sea'), palette=[[0, 0, 9], [0, 9, 0]])


@pytest.mark.parametrize(
    'metainfo, classes, palette',
    [
        (None, OWN['classes'], OWN['palette']),
        (dict(classes=None), OWN['classes'], OWN['palette']),
        (dict(classes=['sky', 'sea']), ['sky', 'sea'], OWN['palette']),
        (dict(classes=('sea', 'sky')), ('sea', 'sky'), distinct_colours(2)),
        (dict(classes=('a', 'b', 'c')), ('a', 'b', 'c'), distinct_colours(3)),
        (dict(classes=('a', 'b'), palette=[[1, 2, 3], [4, 5, 6]]), ('a', 'b'), [[1, 2, 3], [4, 5, 6]]),
        (dict(classes=('a', 'b'), palette=[[1, 2, 3]]), ('a', 'b'), distinct_colours(2)),
        (dict(palette=[[1, 2, 3], [4, 5, 6]]), OWN['classes'], [[1, 2, 3], [4, 5, 6]]),
    ],
)
def test_names_without_colours_get_distinct_ones(metainfo, classes, palette):
    before = dict(metainfo or {})
    assert complete_metainfo(metainfo, OWN) == dict(classes=classes, palette=palette)
    assert before == (metainfo or {})


def test_other_metainfo_is_kept():
    assert complete_metainfo(dict(classes=('a',), dataset_type='mine'), OWN)['dataset_type'] == 'mine'
    assert complete_metainfo(dict(classes='names.txt'), OWN) == dict(classes='names.txt')  # MMEngine reads it


@pytest.mark.parametrize('count', [1, 2, 20, 80, 150, 400])
def test_colours_are_distinct(count):
    colours = distinct_colours(count)
    assert len({tuple(colour) for colour in colours}) == count and all(
        0 <= part <= 255 for colour in colours for part in colour
    )
    assert colours[:1] == distinct_colours(1)
    neighbours = [sum(abs(a - b) for a, b in zip(one, other)) for one, other in zip(colours, colours[1:])]
    assert min(neighbours, default=99) > 60
