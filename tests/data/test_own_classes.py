"""One setting gives data sets and heads their classes."""

import pytest
from mmengine.config import Config

from mae_transfer.data.own_classes import apply_classes, read_classes
from mae_transfer.data.palette import distinct_colours
from mae_transfer.errors import UserError
from mae_transfer.options import change_setting

COCO_SET = dict(type='mae_transfer.CocoImages', ann_file='a.json')
SCENES = dict(type='mae_transfer.LabelledScenes')


def config(**changes):
    return Config(
        dict(
            dict(
                classes=None,
                model=dict(decode_head=dict(num_classes=150)),
                train_dataloader=dict(dataset=dict(SCENES)),
                val_dataloader=dict(dataset=dict(SCENES)),
                test_dataloader=dict(dataset=dict(SCENES)),
            ),
            **changes,
        )
    )


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
def test_names_by_option(before, given, names):
    """Whatever the config had, spaces kept."""
    cfg = change_setting(config(classes=before), f'classes={given}')
    apply_classes(cfg)
    assert [cfg[f'{loader}_dataloader'].dataset.metainfo.classes for loader in ('train', 'val', 'test')] == [names] * 3
    assert cfg.model.decode_head.num_classes == len(names)


@pytest.mark.parametrize('text', ['cat\ntraffic light\n', '\ufeffcat\r\n traffic light \r\n\r\n'])
def test_names_of_a_file(text, tmp_path):
    (tmp_path / 'names.txt').write_bytes(text.encode())
    assert read_classes(str(tmp_path / 'names.txt')) == ('cat', 'traffic light')


@pytest.mark.parametrize(
    'classes, says',
    [
        ((), 'classes: there is no name of a class; give e.g. classes=cat,dog'),
        ('', 'there is no name of a class'),
        ('cat,,dog', r'classes: name 2 of 3 is empty'),
        (('cat', 'dog', 'cat'), "classes: 'cat' is given 2 times"),
        ('no/such', 'classes: the file no/such does not exist; give a file with a name on each line, or the names'),
        ('names.txt', 'classes: the file names.txt does not exist'),
        ('empty', 'empty: there is no name of a class'),
        ('twice', "twice: 'cat' is given 2 times"),
        ('binary', r'classes: .*binary is no text file'),
    ],
)
def test_no_names(classes, says, tmp_path):
    for name, content in (('empty', b'\n'), ('twice', b'cat\ncat'), ('binary', b'\xff\x00\xd8')):
        (tmp_path / name).write_bytes(content)
    classes = str(tmp_path / classes) if classes in ('empty', 'twice', 'binary') else classes
    with pytest.raises(UserError, match=says):
        read_classes(classes)


@pytest.mark.parametrize(
    'model, count',
    [
        (dict(decode_head=dict(num_classes=150), auxiliary_head=dict(num_classes=150)), 2),
        (dict(decode_head=dict(), auxiliary_head=[dict(num_classes=150), dict(num_classes=150)]), 3),
        (
            dict(
                rpn_head=dict(loss_cls=dict()),
                roi_head=dict(bbox_head=dict(num_classes=80), mask_head=dict(num_classes=80)),
            ),
            2,
        ),
        (dict(roi_head=dict(bbox_head=[dict(num_classes=80)] * 3, mask_head=dict(num_classes=80))), 4),
        (dict(bbox_head=dict(num_classes=80)), 1),
    ],
)
def test_heads(model, count):
    cfg = config(classes=('a', 'b', 'c'), model=dict(backbone=dict(num_classes=7), **model))
    apply_classes(cfg)
    assert (
        str(cfg.model.to_dict()).count("'num_classes': 3") == count
        and '80' not in str(cfg.model)
        and '150' not in str(cfg.model)
    )
    assert cfg.model.backbone.num_classes == 7 and 'num_classes' not in cfg.model.get('rpn_head', {})


@pytest.mark.parametrize(
    'wrap',
    [
        lambda s: s,
        lambda s: dict(type='RepeatDataset', dataset=s),
        lambda s: dict(type='ConcatDataset', datasets=[s, dict(type='RepeatDataset', dataset=dict(s))]),
    ],
)
def test_data_sets(wrap):
    cfg = config(
        classes=('a', 'b'), train_dataloader=dict(dataset=wrap(dict(COCO_SET, metainfo=dict(dataset_type='mine'))))
    )
    apply_classes(cfg)
    text = str(cfg.train_dataloader.to_dict())
    found = [
        text.count(part) for part in ("'classes': ('a', 'b')", "'dataset_type': 'mine'", "'palette'", 'CocoImages')
    ]
    assert found[0] and len(set(found)) == 1


@pytest.mark.parametrize('palette, kept', [([[1, 2, 3], [4, 5, 6]], True), ([[1, 2, 3]], False), (None, False)])
def test_palette_of_the_config(palette, kept):
    dataset = dict(COCO_SET, metainfo=dict(palette=palette) if palette else None)
    cfg = config(classes=('a', 'b'), test_dataloader=dict(dataset=dataset))
    apply_classes(cfg)
    assert cfg.test_dataloader.dataset.metainfo.palette == (palette if kept else distinct_colours(2))


@pytest.mark.parametrize(
    'changes', [dict(), dict(classes='data/names.txt', model=dict(type='ViTClassifier', num_classes=3))]
)
def test_other_configs_are_left_as_they_are(changes):
    """No classes set; another model's own setting of that name."""
    cfg = config(**changes)
    before = str(cfg.to_dict())
    apply_classes(cfg)
    assert str(cfg.to_dict()) == before


def test_applied_twice_is_applied_once():
    """The config that a run wrote into its work_dir is read again."""
    cfg = config(classes=['a', 'b'])
    apply_classes(cfg)
    again = Config(cfg.to_dict())
    apply_classes(again)
    assert str(again.to_dict()) == str(cfg.to_dict())


@pytest.mark.parametrize('count', [1, 2, 20, 80, 150, 400])
def test_colours_are_distinct(count):
    colours = distinct_colours(count)
    assert len({tuple(colour) for colour in colours}) == count and all(
        0 <= part <= 255 for colour in colours for part in colour
    )
    assert colours[:1] == distinct_colours(1)
    neighbours = [sum(abs(a - b) for a, b in zip(one, other)) for one, other in zip(colours, colours[1:])]
    assert min(neighbours, default=99) > 60
