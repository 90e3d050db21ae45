"""A user's own classes by options alone or a ten-line config; each mistake in the annotations ends a tool with one
line."""

import json
import re

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

from mae_transfer import launch
from tests.own_data import coco_content, write_coco, write_scenes
from tests.tools.commands import REPOSITORY, call, error_line, train

CONFIGS = {
    'coco': REPOSITORY / 'configs/small/coco_maskrcnn.py',
    'scenes': REPOSITORY / 'configs/small/ade20k_upernet.py',
}
CLASSES = {'coco': 'dog,traffic light', 'scenes': 'road,field'}
ARCH = "model.backbone.arch={'embed_dim':32,'depth':4,'num_heads':2}"
TINY = {
    'coco': [
        'train_cfg.max_epochs=1',
        'train_cfg.val_interval=1',
        'param_scheduler.0.end=1',
        'image_size=(64,64)',
        *(
            f'{place}.scale=(64,64)'
            for place in (
                'train_dataloader.dataset.pipeline.2',
                'val_dataloader.dataset.pipeline.1',
                'test_dataloader.dataset.pipeline.1',
            )
        ),
        'model.data_preprocessor.pad_size_divisor=64',
        'model.roi_head.bbox_head.fc_out_channels=32',
    ],
    'scenes': [
        'train_cfg.max_iters=1',
        'train_cfg.val_interval=1',
        'model.decode_head.channels=16',
        'model.auxiliary_head.channels=16',
        'train_dataloader.dataset.pipeline.2.scale=(96,64)',
        'train_dataloader.dataset.pipeline.3.crop_size=(64,64)',
        'model.data_preprocessor.size=(64,64)',
    ],
}


def options(kind, root, classes=None, *more):
    """Options that make the small config's run tiny."""
    return [
        '--cfg-options',
        f'data_root={root}',
        'pretrained=none',
        ARCH,
        'model.backbone.out_indices=(0,1,2,3)',
        'model.backbone.img_size=64',
        'model.neck.embed_dim=32',
        'total_batch_size=2',
        'train_dataloader.batch_size=2',
        'default_hooks.checkpoint.interval=1',
        *(
            ['model.decode_head.in_channels=[32,32,32,32]', 'model.auxiliary_head.in_channels=32']
            if kind == 'scenes'
            else []
        ),
        *TINY[kind],
        f'classes={CLASSES[kind] if classes is None else classes}',
        *more,
    ]


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """{kind: (data, work_dir)} of one step on data of two classes, then judged."""
    runs = {}
    for kind, write in (('coco', write_coco), ('scenes', write_scenes)):
        folder = tmp_path_factory.mktemp(kind)
        train(CONFIGS[kind], '--work-dir', folder / 'run', *options(kind, write(folder / 'data')))
        runs[kind] = folder / 'data', folder / 'run'
    return runs


@pytest.fixture
def data(tmp_path):
    """Makes the data of a kind anew, to be spoilt."""
    return lambda kind: (write_coco if kind == 'coco' else write_scenes)(tmp_path / 'data')


@pytest.mark.parametrize('kind, metrics', [('coco', ('coco/bbox_mAP', 'coco/segm_mAP_50')), ('scenes', ('mIoU',))])
def test_own_classes_by_options_alone(kind, metrics, trained, tmp_path):
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
def test_the_classes_of_a_checkpoint(kind, trained, tmp_path):
    """Others, fewer, or in another order: one line."""
    root, work_dir = trained[kind]
    for classes, here in (
        (','.join(CLASSES[kind].split(',')[::-1]), '2 classes'),
        (CLASSES[kind].split(',')[0], '1 classes'),
    ):
        if kind == 'scenes' and here == '1 classes':
            continue  # the label maps are refused first
        line = error_line(call('test', CONFIGS[kind], work_dir, '--work-dir', tmp_path, *options(kind, root, classes)))
        there = rf'2 classes \({CLASSES[kind].replace(",", ", ")}\)'
        assert re.search(rf'.pth was trained on {there}, the config has {here} \(.*same order$', line)


def test_load_from_a_detector_of_other_classes(trained, tmp_path):
    """Only the last layers start anew, and that is said."""
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


def test_load_from_a_detector_of_as_many_other_classes(trained, tmp_path):
    """The heads are taken over, and that is said."""
    root, work_dir = trained['coco']
    classes = CLASSES['coco'].split(',')[::-1]
    ended = train(
        CONFIGS['coco'], '--load-from', work_dir, '--work-dir', tmp_path, *options('coco', root, ','.join(classes))
    )
    assert re.search(
        rf'the config has 2 classes \({", ".join(classes)}\): the heads start as those of the other classes', ended.out
    )


def change_coco(split, change):
    def spoil(root):
        file = root / f'annotations/instances_{split}2017.json'
        content = coco_content(3 if split == 'train' else 2)
        change(content)
        file.write_text(json.dumps(content))
        return file

    return spoil


def update(part, **changes):
    return lambda content: content[part][1].update(changes)


def paint(value):
    def spoil(file):
        labels = np.array(Image.open(file))
        labels[3, 4] = value
        Image.fromarray(labels).save(file)

    return spoil


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
        "1 of {count} annotations are of an image that 'images' does not list",
    ),
    'no masks': (
        lambda content: [entry.pop('segmentation') for entry in content['annotations']],
        'annotations have no segmentation',
    ),
    'no class': (
        lambda content: content['categories'][1].update(name='hound'),
        "1 of the config's 2 classes are not among its categories",
    ),
    'cut short': (None, 'is no JSON file: '),
}
SCENE_MISTAKES = {
    'value': (paint(3), 'has the value 3, but 2 classes are 1..2, 0 and 255 are ignored'),
    'colours': (lambda file: Image.open(file).convert('RGB').save(file), 'is a colour picture (mode RGB)'),
    'size': (lambda file: Image.open(file).crop((0, 0, 50, 50)).save(file), 'is 50 x 50 pixels, its image 70 x 90'),
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
    """What shows only when an image is read is one line too."""
    root = data(kind)
    for file in (root / ('train2017' if kind == 'coco' else 'images/training')).glob('*.jpg'):
        content = file.read_bytes()
        # Of an image with a label map the size is read on start-up: there the header is left.
        file.write_bytes(content[: 9 if kind == 'coco' else content.index(b'\xff\xda') - 40])
    more = f'train_dataloader.num_workers={workers}'
    line = error_line(call('train', CONFIGS[kind], '--work-dir', tmp_path / 'run', *options(kind, root, None, more)))
    assert re.search(r'/\d.jpg (\(\d+ bytes\) is no image, or is cut short|cannot be read)', line)


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
        ('scenes', 'road', 'has the value 2, but 1 classes are 1..1'),
    ],
)
def test_classes_that_cannot_be(kind, classes, says, trained, tmp_path):
    line = error_line(call('train', CONFIGS[kind], '--work-dir', tmp_path, *options(kind, trained[kind][0], classes)))
    assert says in line


def test_judged_by_annotations_of_other_images(trained, tmp_path):
    root, work_dir = trained['coco']
    more = 'test_dataloader.dataset.ann_file=annotations/instances_train2017.json'
    line = error_line(
        call('test', CONFIGS['coco'], work_dir, '--work-dir', tmp_path, *options('coco', root, None, more))
    )
    assert line.endswith('train2017.json: set both') and 'test_evaluator.ann_file is ' in line


# The page of the documentation


def shown_configs():
    """{kind: text} of the configs in docs/own_data.md."""
    blocks = re.findall(r'```python\n(.*?)```', (REPOSITORY / 'docs/own_data.md').read_text(), re.DOTALL)
    return {('coco' if 'coco' in block else 'scenes'): block for block in blocks}


@pytest.mark.parametrize('kind', CLASSES)
def test_the_shown_config(kind, tmp_path):
    """As it is it builds on the real recipe; on the small one it trains and is judged."""
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
        assert loader.dataset.metainfo.classes == names and loader.dataset.data_root == 'data/mine/'
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
