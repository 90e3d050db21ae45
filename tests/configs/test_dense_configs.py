"""The COCO and ADE20K configs: their recipes, and each of them run on tiny data through its own pipelines, model and optimiser.

Where a test runs a config, sizes alone are reduced (:func:`reduced`): what is built, and how it is joined, is the config's.
"""
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DATASETS, MODELS, DefaultScope
from mmengine.runner import Runner
from mmengine.structures import PixelData

from mae_transfer.compat.distributed import adapt_to_cpu
from mae_transfer.vit import ViT
from mae_transfer.vit.sizes import resolve_size

CONFIGS = Path(__file__).parents[2] / 'configs'
COCO = ['coco_maskrcnn_vitb', 'coco_maskrcnn_vitl']
ADE = ['ade20k_upernet_vitb', 'ade20k_upernet_vitl']
SMALL_VIT = dict(arch=dict(embed_dim=32, depth=4, num_heads=2), patch_size=16)


def load(name):
    return Config.fromfile(CONFIGS / f'{name}.py')


# The recipes


@pytest.mark.parametrize('name, lr, batch, decay, weight_decay, drop_path, taps, length', [
    ('coco_maskrcnn_vitb', 8e-5, 64, 1., .1, .1, (2, 5, 8, 11), 100),
    ('coco_maskrcnn_vitl', 8e-5, 64, 1., .1, .3, (5, 11, 17, 23), 100),
    ('ade20k_upernet_vitb', 1e-4, 16, .65, .05, .1, (3, 5, 7, 11), 160000),
    ('ade20k_upernet_vitl', 1e-4, 16, .75, .05, .2, (7, 11, 15, 23), 160000),
])
def test_recipe(name, lr, batch, decay, weight_decay, drop_path, taps, length):
    cfg = load(name)
    assert cfg.total_batch_size == batch and cfg.base_lr * batch / 256 == pytest.approx(lr)
    optimizer = cfg.optim_wrapper.optimizer
    assert 'lr' not in optimizer and 'clip_grad' not in cfg.optim_wrapper  # tools/train.py fills lr in
    assert (optimizer.type, optimizer.betas, optimizer.weight_decay) == ('AdamW', (.9, .999), weight_decay)
    assert cfg.optim_wrapper.paramwise_cfg == dict(layer_decay=decay)
    backbone = cfg.model.backbone
    assert (backbone.drop_path_rate, backbone.out_indices, backbone.final_norm) == (drop_path, taps, False)
    schedule = cfg.param_scheduler
    if name in COCO:
        assert cfg.train_cfg.max_epochs == length
        assert [(s.type, s.warmup, s.end) for s in schedule] == [('mae_transfer.WarmupCosineLR', .25, 100)]
    else:
        assert cfg.train_cfg.max_iters == length
        assert [(s.type, s.begin, s.end) for s in schedule] == [('LinearLR', 0, 1500), ('PolyLR', 1500, 160000)]
        assert schedule[0].start_factor == 1e-6 and schedule[1].power == 1 and schedule[1].eta_min == 0


@pytest.mark.parametrize('name', COCO + ADE)
def test_parts_fit_the_vit(name):
    cfg = load(name)
    size, model = resolve_size(cfg.model.backbone.arch), cfg.model
    assert model.neck.embed_dim == size.embed_dim
    if name in COCO:
        quarter = size.depth // 4
        assert model.backbone.out_indices == tuple(range(quarter - 1, size.depth, quarter))
        assert model.backbone.window_size == 14 and not model.backbone.class_token
        assert model.data_preprocessor.pad_size_divisor == cfg.image_size[0] == cfg.image_size[1]
    else:
        assert model.decode_head.in_channels == [size.embed_dim] * 4 and model.decode_head.channels == size.embed_dim
        assert model.auxiliary_head.in_channels == size.embed_dim and model.auxiliary_head.loss_decode.loss_weight == .4
        assert model.test_cfg == dict(mode='slide', crop_size=(512, 512), stride=(341, 341))


def strings(node):
    if isinstance(node, str):
        yield node
    elif isinstance(node, dict):
        for value in node.values():
            yield from strings(value)
    elif isinstance(node, (list, tuple)):
        for value in node:
            yield from strings(value)


@pytest.mark.parametrize('name', COCO + ADE)
def test_paths_follow_data_root_and_pretrained(name):
    """tools/train.py moves data and weights by replacing the strings that begin with these two."""
    cfg = load(name)
    assert cfg.data_root.endswith('/') and cfg.pretrained == f'work_dirs/mae_pretrain_{name[-4:]}'
    assert cfg.model.backbone.init_cfg == dict(type='Pretrained', checkpoint=cfg.pretrained)
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        assert loader.dataset.data_root == cfg.data_root
    if name in COCO:
        assert cfg.val_evaluator.ann_file == cfg.test_evaluator.ann_file == cfg.data_root + 'annotations/instances_val2017.json'
    relative = {'annotations/instances_train2017.json', 'annotations/instances_val2017.json', 'train2017/', 'val2017/',
                'images/training', 'annotations/training', 'images/validation', 'annotations/validation'}
    paths = {text for text in strings(cfg.to_dict()) if '/' in text} - relative
    assert all(text.startswith((cfg.data_root, cfg.pretrained)) for text in paths), paths


# Tiny data, and the configs on it


def draw(path, height, width, channels=3, high=256):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(height).integers(0, high, (height, width, channels)[:2 + (channels > 1)], dtype=np.uint8)
    assert cv2.imwrite(str(path), pixels)


@pytest.fixture(scope='session')
def coco_root(tmp_path_factory):
    """Two images to train and one to judge, none square, with polygons of two classes."""
    root = tmp_path_factory.mktemp('coco')
    for split, sizes in [('train2017', [(90, 70), (61, 103)]), ('val2017', [(50, 37)])]:
        images, annotations = [], []
        for i, (height, width) in enumerate(sizes):
            draw(root / split / f'{i}.jpg', height, width)
            images.append(dict(id=i, file_name=f'{i}.jpg', height=height, width=width))
            for category, (x, y, side) in [(1, (4, 6, 28)), (3, (width - 30, height - 26, 20))]:
                annotations.append(dict(
                    id=len(annotations) + 1, image_id=i, category_id=category, iscrowd=0, area=side * side / 2,
                    bbox=[x, y, side, side], segmentation=[[x, y, x + side, y, x, y + side]]))
        (root / 'annotations').mkdir(exist_ok=True)
        (root / 'annotations' / f'instances_{split}.json').write_text(json.dumps(dict(
            images=images, annotations=annotations, categories=[dict(id=1, name='person'), dict(id=3, name='car')])))
    return f'{root}/'


@pytest.fixture(scope='session')
def ade_root(tmp_path_factory):
    """Two images to train and one to judge; the one to judge is too flat for its short side to reach the crop."""
    root = tmp_path_factory.mktemp('ade')
    for split, sizes in [('training', [(90, 70), (61, 103)]), ('validation', [(30, 151)])]:
        for i, (height, width) in enumerate(sizes):
            draw(root / 'images' / split / f'{i}.jpg', height, width)
            draw(root / 'annotations' / split / f'{i}.png', height, width, channels=1, high=151)
    return f'{root}/'


def reduced(name, root, pretrained='none'):
    """The config with small sizes, its data in ``root``, ready for a machine without a GPU."""
    cfg = load(name)
    small = {(1024, 1024): (96, 96), (512, 512): (64, 64), (341, 341): (43, 43), (2048, 512): (256, 64)}

    def shrink(node):
        if isinstance(node, dict):
            return {key: shrink(value) for key, value in node.items()}
        if isinstance(node, tuple) and node in small:
            return small[node]
        if isinstance(node, (list, tuple)):
            return type(node)(shrink(value) for value in node)
        if isinstance(node, str):
            for old, new in [(cfg.data_root, root), (cfg.pretrained, pretrained)]:
                if node.startswith(old):
                    return new + node[len(old):]
        return node

    cfg = Config(shrink(cfg.to_dict()))
    cfg.model.backbone.update(SMALL_VIT, out_indices=(0, 1, 2, 3))
    cfg.model.neck.embed_dim = 32
    if name in COCO:
        cfg.merge_from_dict({
            'model.data_preprocessor.pad_size_divisor': 96,
            'model.backbone.window_size': 4,
            'model.roi_head.bbox_head': dict(conv_out_channels=32, fc_out_channels=32),
            'model.roi_head.mask_head.conv_out_channels': 32,
            'model.train_cfg.rpn_proposal.max_per_img': 20,
            'model.train_cfg.rcnn.sampler.num': 16,
            'model.test_cfg.rpn.max_per_img': 20,
            'model.test_cfg.rcnn.max_per_img': 20,
            'model.test_cfg.rcnn.score_thr': 0.})  # so that untrained weights find something
    else:
        cfg.merge_from_dict({'model.decode_head': dict(in_channels=[32] * 4, channels=16),
                             'model.auxiliary_head': dict(in_channels=32, channels=16)})
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        loader.update(num_workers=0, persistent_workers=False)
    cfg.optim_wrapper.optimizer.lr = cfg.base_lr * cfg.total_batch_size / 256
    adapt_to_cpu(cfg)
    return cfg


@pytest.fixture
def config(request, coco_root, ade_root):
    cfg = reduced(request.param, coco_root if request.param in COCO else ade_root)
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        yield cfg


@pytest.mark.parametrize('config', COCO + ADE, indirect=True)
def test_trains_and_tests(config):
    torch.manual_seed(0)
    model = MODELS.build(config.model)
    model.init_weights()
    wrapper = build_optim_wrapper(model, config.optim_wrapper)

    # Before the step, because it clears the gradients that it has used.
    batch = next(iter(Runner.build_dataloader(config.train_dataloader, seed=0)))
    with wrapper.optim_context(model):
        data = model.data_preprocessor(batch, training=True)
        losses = model(**data, mode='loss')
    total, logged = model.parse_losses(losses)
    assert all(value.isfinite() for value in logged.values()), logged
    total.backward()
    assert {name for name, p in model.named_parameters() if p.grad is None or not p.grad.isfinite().all()} == set()
    assert model.backbone.blocks[0].attn.qkv.weight.grad.abs().sum() > 0
    model.zero_grad()

    first = model.backbone.blocks[0].attn.qkv.weight
    before = first.detach().clone()
    model.train_step(batch, wrapper)
    lr, decay = config.optim_wrapper.optimizer.lr, config.optim_wrapper.paramwise_cfg.layer_decay
    # Adam's first step is lr * sign of the gradient, and the block lies four layers below the heads.
    assert (first - before).abs().max().item() == pytest.approx(lr * decay ** 4, rel=.05)

    seen = []
    model.backbone.register_forward_pre_hook(lambda module, args: seen.append(tuple(args[0].shape[2:])))
    model.eval()
    batch = next(iter(Runner.build_dataloader(config.val_dataloader)))
    with torch.no_grad():
        sample, = model.test_step(batch)
    if config.default_scope == 'mmdet':
        assert seen == [(96, 96)]
        assert len(sample.pred_instances) and sample.pred_instances.masks.shape[1:] == sample.ori_shape == (50, 37)
        height, width = sample.ori_shape
        boxes = sample.pred_instances.bboxes
        assert boxes.min() >= 0 and (boxes.amax(0) <= torch.tensor([width, height, width, height]) + 1e-3).all()
    else:
        # 30 x 151 becomes 51 x 256, padded to 64 x 256, and windows of 64 x 64 slide over it.
        assert set(seen) == {(64, 64)} and len(seen) == 6
        assert sample.pred_sem_seg.data.shape[1:] == sample.ori_shape == (30, 151)


@pytest.mark.parametrize('config', COCO[:1], indirect=True)
def test_a_crop_without_objects_is_trained_on(config):
    pipeline = config.train_dataloader.dataset.pipeline
    crop = next(step for step in pipeline if step['type'] == 'RandomCrop')
    crop.update(crop_size=(8, 8))  # far smaller than the gaps between the objects
    np.random.seed(0)
    dataset = DATASETS.build(config.train_dataloader.dataset)
    dataset.full_init()
    items = [dataset.pipeline(dataset.get_data_info(i % 2)) for i in range(100)]
    assert None not in items  # None: the pipeline asks for another image
    items = [item for item in items if not len(item['data_samples'].gt_instances)][:2]
    assert len(items) == 2

    model = MODELS.build(config.model)
    data = model.data_preprocessor(pseudo_collate(items), training=True)
    total, logged = model.parse_losses(model(**data, mode='loss'))
    assert total.isfinite() and logged['loss_mask'] == 0
    total.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize('training', [True, False])
@pytest.mark.parametrize('config', [COCO[0], ADE[0]], indirect=True)
def test_padding_is_zero_after_normalisation(config, training):
    preprocessor = MODELS.build(config.model.data_preprocessor)
    dataset = DATASETS.build(config.train_dataloader.dataset if training else config.val_dataloader.dataset)
    item = dataset[0]
    item['inputs'] = item['inputs'][:, :33, :41]
    if training and config.default_scope == 'mmseg':
        item['data_samples'].gt_sem_seg = PixelData(data=item['data_samples'].gt_sem_seg.data[:, :33, :41])
    data = preprocessor(pseudo_collate([item]), training=training)
    images = data['inputs']
    assert tuple(images.shape[2:]) == ((96, 96) if config.default_scope == 'mmdet' else (64, 64))
    assert images[:, :, 33:].eq(0).all() and images[:, :, :, 41:].eq(0).all() and images[:, :, :33, :41].ne(0).any()
    if training and config.default_scope == 'mmseg':
        assert data['data_samples'][0].gt_sem_seg.data[:, 33:].eq(255).all()


@pytest.mark.parametrize('name', [COCO[0], ADE[0]])
def test_pretrained_weights_arrive(name, coco_root, ade_root, tmp_path):
    """The official code's file: everything under 'model', positions for 224 x 224 and a class token."""
    source = ViT(img_size=224, class_token=True, **SMALL_VIT)
    torch.nn.init.normal_(source.pos_embed)
    weights = source.state_dict()
    torch.save(dict(model=weights), tmp_path / 'official.pth')

    cfg = reduced(name, coco_root if name in COCO else ade_root, str(tmp_path / 'official.pth'))
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        model = MODELS.build(cfg.model)
    model.init_weights()
    loaded = model.backbone.state_dict()
    same = set(loaded) - {'pos_embed'}
    assert len(same) >= 4 * 12 + 2 and all(torch.equal(loaded[key], weights[key]) for key in same)
    if name in COCO:  # the table of 14 x 14 is kept, without the class token's row
        assert torch.equal(loaded['pos_embed'], weights['pos_embed'][:, 1:])
    else:
        assert torch.equal(loaded['pos_embed'][:, 0], weights['pos_embed'][:, 0]) and loaded['pos_embed'].shape[1] == 1 + 4 * 4


@pytest.mark.parametrize('config', ADE[:1], indirect=True)
def test_label_zero_is_ignored(config):
    item = DATASETS.build(config.val_dataloader.dataset)[0]
    stored = torch.from_numpy(cv2.imread(item['data_samples'].seg_map_path, cv2.IMREAD_UNCHANGED).astype(int))
    labels = item['data_samples'].gt_sem_seg.data[0]
    assert torch.equal(labels, torch.where(stored == 0, 255, stored - 1))
