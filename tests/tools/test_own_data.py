"""A user's own classes, by options or by a short config; mistakes in the annotations end a tool with one line."""

import json
import re

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

from mae_transfer import launch
from tests.data.label_maps.label_forms import palette
from tests.own_data import coco_content, write_coco, write_scenes
from tests.tools.commands import REPOSITORY, call, error_line, train

CONFIGS = {
    'coco': REPOSITORY / 'configs/small/coco_maskrcnn.py',
    'scenes': REPOSITORY / 'configs/small/ade20k_upernet.py',
}
CLASSES = {'coco': 'dog,traffic light', 'scenes': 'road,field'}
TINY = {
    'coco': ['max_epochs=1', 'image_size=(64,64)', 'model.roi_head.bbox_head.fc_out_channels=32'],
    'scenes': [
        *('max_iters=3', 'warmup=2', 'crop_size=(64,64)', 'model.test_cfg.stride=(43,43)'),
        *('model.decode_head.channels=16', 'model.auxiliary_head.channels=16'),
    ],
}


def options(kind, root, classes=None, *more):
    """Options that make the small config's run tiny."""
    return [
        '--cfg-options',
        f'data_root={root}',
        'pretrained=none',
        'model.backbone.arch=32x4x2',
        'model.backbone.out_indices=(0,1,2,3)',
        'model.backbone.img_size=64',
        'total_batch_size=2',
        'train_dataloader.batch_size=2',
        *TINY[kind],
        f'classes={CLASSES[kind] if classes is None else classes}',
        *more,
    ]


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """{kind: (data, work_dir)} of short trainings on data of two classes."""
    runs = {}
    for kind, write in (('coco', write_coco), ('scenes', write_scenes)):
        folder = tmp_path_factory.mktemp(kind)
        train(CONFIGS[kind], '--work-dir', folder / 'run', *options(kind, write(folder / 'data')))
        runs[kind] = folder / 'data', folder / 'run'
    return runs


@pytest.fixture
def data(tmp_path):
    """Writes new data of a kind, for a test to damage."""
    return lambda kind: (write_coco if kind == 'coco' else write_scenes)(tmp_path / 'data')


@pytest.mark.parametrize('kind, metrics', [('coco', ('coco/bbox_mAP', 'coco/segm_mAP_50')), ('scenes', ('mIoU',))])
def test_own_classes_by_options(kind, metrics, trained, tmp_path):
    root, work_dir = trained[kind]
    names = tmp_path / 'names.txt'
    names.write_text(CLASSES[kind].replace(',', '\n'))
    ended = call('test', CONFIGS[kind], work_dir, '--work-dir', tmp_path, *options(kind, root, names))
    assert ended.code == 0, ended.err
    assert all(metric in ended.out for metric in metrics)
    assert kind == 'scenes' or 'average precision by faster-coco-eval' in ended.out
    written = Config.fromfile(next(work_dir.glob('*.py')))
    assert list(written.train_dataloader.dataset.metainfo.classes) == CLASSES[kind].split(',')


@pytest.mark.parametrize('kind', CLASSES)
def test_a_checkpoint_of_other_classes_is_refused(kind, trained, tmp_path):
    """Fewer classes, or the same in another order."""
    root, work_dir = trained[kind]
    for classes, here in (
        (','.join(CLASSES[kind].split(',')[::-1]), '2 classes'),
        (CLASSES[kind].split(',')[0], '1 classes'),
    ):
        if kind == 'scenes' and here == '1 classes':
            continue  # a single class is refused first
        line = error_line(call('test', CONFIGS[kind], work_dir, '--work-dir', tmp_path, *options(kind, root, classes)))
        there = rf'2 classes \({CLASSES[kind].replace(",", ", ")}\)'
        assert re.search(rf'.pth was trained on {there}, the config has {here} \(.*same order$', line)


def test_load_from_a_detector_of_other_classes(trained, tmp_path):
    """Only the last layers start from random weights, and the log says so."""
    root, work_dir = trained['coco']
    ended = train(
        CONFIGS['coco'],
        '--load-from',
        work_dir,
        '--work-dir',
        tmp_path,
        *options('coco', root, 'cow,dog,traffic light'),
    )
    assert re.search(r'tensors fit; not loaded: roi_head.bbox_head.fc_cls.weight, ', ended.out)


def test_load_from_a_detector_of_the_same_number_of_other_classes(trained, tmp_path):
    """The heads are loaded, too, and the log says so."""
    root, work_dir = trained['coco']
    classes = CLASSES['coco'].split(',')[::-1]
    ended = train(
        CONFIGS['coco'], '--load-from', work_dir, '--work-dir', tmp_path, *options('coco', root, ','.join(classes))
    )
    assert re.search(
        rf'the config has 2 classes \({", ".join(classes)}\): the heads start as those of the other classes', ended.out
    )


def change_coco(split, change):
    def damage(root):
        file = root / f'annotations/instances_{split}2017.json'
        content = coco_content(3 if split == 'train' else 2)
        change(content)
        file.write_text(json.dumps(content))
        return file

    return damage


def update(part, **changes):
    return lambda content: content[part][1].update(changes)


def paint(value):
    def damage(file):
        labels = np.array(Image.open(file))
        labels[3, 4] = value
        Image.fromarray(labels).save(file)

    return damage


def colours(file):
    palette(np.array(Image.open(file))).convert('RGB').save(file)


COCO_MISTAKES = {
    'category_id': (
        update('annotations', category_id=80),
        "1 of {count} annotations have a category_id that 'categories' does not list",
    ),
    'outside': (
        update('annotations', bbox=[60, 60, 30, 40]),
        '1 of {count} annotations have a box outside of the image, e.g. id 2',
    ),
    'no area': (update('annotations', bbox=[9, 9, 3, 0]), '1 of {count} annotations have a box without area'),
    'other image': (
        update('annotations', image_id=5),
        "1 of {count} annotations belong to an image that 'images' does not list",
    ),
    'no masks': (
        lambda content: [entry.pop('segmentation') for entry in content['annotations']],
        'annotations have no segmentation',
    ),
    'no class': (
        lambda content: content['categories'][1].update(name='hound'),
        "1 of the config's 2 classes are not among its categories",
    ),
    'cut short': (None, 'is not a JSON file: '),
}
SCENE_MISTAKES = {
    'value': (paint(3), 'contains the value 3; expected 1..2 for the classes and 0 or 255 for ignored pixels'),
    'colours': (colours, 'is a colour image (mode RGB)'),
    'size': (
        lambda file: Image.open(file).crop((0, 0, 50, 50)).save(file),
        'is 50 x 50 pixels, but its image is 70 x 90',
    ),
    'gone': (lambda file: file.unlink(), 'images have no label map'),
}


@pytest.mark.parametrize(
    'name, tool, split',
    [
        *((name, *case) for name in COCO_MISTAKES for case in (('train', 'train'), ('test', 'val'))),
        ('category_id', 'train', 'val'),
    ],
)
def test_mistake_in_coco_s_format(name, tool, split, trained, data, tmp_path):
    change, says = COCO_MISTAKES[name]
    root = data('coco')
    if name == 'cut short':
        file = root / f'annotations/instances_{split}2017.json'
        file.write_text(file.read_text()[:-30])
    else:
        file = change_coco(split, change)(root)
    checkpoint = [trained['coco'][1]] if tool == 'test' else []
    line = error_line(call(tool, CONFIGS['coco'], *checkpoint, '--work-dir', tmp_path / 'run', *options('coco', root)))
    assert line.startswith(f'error: {file}') and says.format(count=7 if split == 'train' else 5) in line


@pytest.mark.parametrize(
    'name, tool, split',
    [
        *((name, *case) for name in SCENE_MISTAKES for case in (('train', 'training'), ('test', 'validation'))),
        ('gone', 'train', 'validation'),
    ],
)
def test_mistake_in_a_label_map(name, tool, split, trained, data, tmp_path):
    change, says = SCENE_MISTAKES[name]
    root = data('scenes')
    file = root / f'annotations/{split}/0.png'
    change(file)
    checkpoint = [trained['scenes'][1]] if tool == 'test' else []
    line = error_line(
        call(tool, CONFIGS['scenes'], *checkpoint, '--work-dir', tmp_path / 'run', *options('scenes', root))
    )
    assert says in line and (str(file) in line or name == 'gone' and f'{root}/images/{split}/0.jpg' in line)


@pytest.mark.parametrize('kind, workers', [('coco', 0), ('coco', 1), ('scenes', 1)])
def test_mistake_found_by_a_worker(kind, workers, data, tmp_path):
    """A mistake that is found only when an image is read is reported in one line, too."""
    root = data(kind)
    for file in (root / ('train2017' if kind == 'coco' else 'images/training')).glob('*.jpg'):
        content = file.read_bytes()
        # The size of an image with a label map is read on start-up: keep its header.
        file.write_bytes(content[: 9 if kind == 'coco' else content.index(b'\xff\xda') - 40])
    more = f'train_dataloader.num_workers={workers}'
    line = error_line(call('train', CONFIGS[kind], '--work-dir', tmp_path / 'run', *options(kind, root, None, more)))
    assert re.search(r'/\d.jpg \(?is not an image, or is truncated \(\d+ bytes\)', line)


@pytest.mark.parametrize(
    'kind, classes, says',
    [
        ('coco', 'dog,dog', "classes: 'dog' is given 2 times"),
        ('scenes', 'no/names.txt', 'classes: the file no/names.txt does not exist'),
        (
            'coco',
            'dog,zebra',
            "1 of the config's 2 classes are not among its categories, e.g. 'zebra'; the file has traffic light, dog, "
            'cow',
        ),
        ('scenes', 'road', "model.decode_head takes a softmax over one output: 'road' is the only class, so that"),
    ],
)
def test_impossible_classes(kind, classes, says, trained, tmp_path):
    line = error_line(call('train', CONFIGS[kind], '--work-dir', tmp_path, *options(kind, trained[kind][0], classes)))
    assert says in line


def test_an_evaluation_with_annotations_of_other_images(trained, tmp_path):
    root, work_dir = trained['coco']
    more = f'test_evaluator.ann_file={root}/annotations/instances_train2017.json'
    line = error_line(
        call('test', CONFIGS['coco'], work_dir, '--work-dir', tmp_path, *options('coco', root, None, more))
    )
    assert re.search(
        'test_evaluator.ann_file is .*train2017.json, but the images are those of .*val2017.json: set', line
    )


def test_boxes_alone_are_learnt_as_the_message_about_missing_masks_says(data, tmp_path):
    root = data('coco')
    for split in ('train', 'val'):
        change_coco(split, lambda content: [entry.pop('segmentation') for entry in content['annotations']])(root)
    line = error_line(call('train', CONFIGS['coco'], '--work-dir', tmp_path / 'refused', *options('coco', root)))
    advised = line.split('--cfg-options ')[1].split()
    *advised_but_for_metrics, _, _ = advised
    half = options('coco', root, None, *advised_but_for_metrics)
    line = error_line(call('train', CONFIGS['coco'], '--work-dir', tmp_path / 'refused', *half))
    assert "val_evaluator.metric names 'segm', but the model has no model.roi_head.mask_head" in line
    all_of_it = options('coco', root, None, *advised)
    train(CONFIGS['coco'], '--work-dir', tmp_path / 'run', *all_of_it)
    ended = call('test', CONFIGS['coco'], tmp_path / 'run', '--work-dir', tmp_path / 'test', *all_of_it)
    assert ended.code == 0 and 'coco/bbox_mAP' in ended.out and 'segm' not in ended.out.split('coco/bbox_mAP')[-1]


def test_missing_label_maps_of_a_training_are_no_case_for_predictions(data, tmp_path):
    root = data('scenes')
    for file in (root / 'annotations/training').glob('*'):
        file.unlink()
    (root / 'annotations/training').rmdir()
    line = error_line(call('train', CONFIGS['scenes'], '--work-dir', tmp_path, *options('scenes', root)))
    assert 'annotations/training does not exist' in line and 'format_only' not in line


@pytest.mark.parametrize(
    'kind, setting, says',
    [
        ('coco', 'train_dataloader.dataset.img_suffix=.png', "CocoImages has no setting 'img_suffix'"),
        ('scenes', 'val_evaluator.classwise=True', "MeanIoU has no setting 'classwise'"),
        ('coco', 'val_dataloader.dataset.metainfo.classes=[traffic light,dog]', 'are the same in another order'),
        ('coco', 'train_dataloader.dataset.ann_file=[a.json,b.json]', 'train_dataloader: ann_file is one file, not '),
    ],
)
def test_settings_that_would_do_nothing_or_harm(kind, setting, says, trained, tmp_path):
    settings = options(kind, trained[kind][0], None, setting)
    assert says in error_line(call('train', CONFIGS[kind], '--work-dir', tmp_path, *settings))


# docs/own_data.md


def shown_configs():
    """{kind: text} of the configs in docs/own_data.md."""
    blocks = re.findall(r'```python\n(.*?)```', (REPOSITORY / 'docs/own_data.md').read_text(), re.DOTALL)
    return {('coco' if 'coco' in block else 'scenes'): block for block in blocks}


@pytest.mark.parametrize('kind', CLASSES)
def test_a_documented_config(kind, tmp_path):
    """It is read as it is, on the real recipe; on the small recipe it is trained and tested."""
    text = shown_configs()[kind]
    assert len(text.splitlines()) <= 11
    base = re.search(r"_base_ = \['(\w+.py)'\]", text)[1]
    (tmp_path / 'real.py').write_text(text.replace(base, str(REPOSITORY / 'configs' / base)))
    args = launch.argparse.Namespace(
        config=tmp_path / 'real.py', cfg_options=[], work_dir=None, launcher='none', local_rank=0
    )
    cfg = launch.load_config(args)
    names = tuple(CLASSES[kind].split(','))
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        assert loader.dataset.metainfo.classes == names and loader.dataset.data_root == 'data/mine'
    heads = (
        (cfg.model.roi_head, 'bbox_head', 'mask_head')
        if kind == 'coco'
        else (cfg.model, 'decode_head', 'auxiliary_head')
    )
    assert [heads[0][name].num_classes for name in heads[1:]] == [2, 2]
    if kind == 'coco':
        write_coco(tmp_path / 'data', ('photos/train', 'photos/val'), ('train.json', 'val.json'))
    else:
        write_scenes(tmp_path / 'data', '{}/photos', '{}/labels', ('train', 'val'), '.png')
        assert cfg.train_dataloader.dataset.metainfo.palette == [[128, 64, 128], [107, 142, 35]]
    (tmp_path / 'small.py').write_text(text.replace(base, str(CONFIGS[kind])))
    tiny = [option for option in options(kind, tmp_path / 'data') if not option.startswith('classes=')]
    train(tmp_path / 'small.py', '--work-dir', tmp_path / 'run', *tiny)
    ended = call('test', tmp_path / 'small.py', tmp_path / 'run', '--work-dir', tmp_path / 'judged', *tiny)
    assert ended.code == 0 and ('coco/segm_mAP' if kind == 'coco' else 'mIoU') in ended.out
