"""Heads with another number of classes than the data are refused, for any head of MMDetection and MMSegmentation."""

from types import SimpleNamespace

import pytest
from mmdet.registry import MODELS
from torch import nn

from mae_transfer.dense.checks import check_head_classes
from mae_transfer.errors import UserError
from mae_transfer.settings import read_config


def data(*classes, **metainfo):
    return SimpleNamespace(metainfo=dict(classes=classes, **metainfo))


class Part(nn.Module):
    """A head, or a model that consists of the given parts."""

    def __init__(self, num_classes=None, **parts):
        super().__init__()
        if num_classes is not None:
            self.num_classes = num_classes
        for name, part in parts.items():
            setattr(self, name, part)


def detector(classes):
    return Part(rpn_head=Part(1), roi_head=Part(bbox_head=Part(classes), mask_head=Part(80, class_agnostic=True)))


def segmentor(classes):
    return Part(decode_head=Part(classes), auxiliary_head=Part(2))


def cascade(classes):
    return Part(decode_head=nn.ModuleList([Part(2), Part(classes)]))


@pytest.mark.parametrize('model', [detector, segmentor, cascade])
def test_the_number_of_classes_of_each_head_is_checked(model):
    check_head_classes(model(3), data('a', 'b', 'c'), is_chosen=True)
    check_head_classes(model(5), data('a', 'b', 'c'), is_chosen=False)  # more outputs than the data needs
    for classes, is_chosen in ((2, False), (2, True), (5, True)):
        with pytest.raises(UserError, match=f'head.* has {classes} classes, the data has 3: set the number of classes'):
            check_head_classes(model(classes), data('a', 'b', 'c'), is_chosen)


def test_models_without_such_heads_and_data_without_classes_are_not_checked():
    check_head_classes(detector(5), data(), is_chosen=True)
    check_head_classes(detector(2), data('a', 'b', 'c', stuff_classes=('c',)), is_chosen=False)
    check_head_classes(Part(language_model=Part(), bbox_head=Part(256)), data('a'), is_chosen=True)
    check_head_classes(nn.Linear(1, 1), SimpleNamespace(), is_chosen=False)


MASK2FORMER = """
_base_ = 'mmdet::mask2former/mask2former_r50_8xb2-lsj-50e_coco.py'
classes = None
model = dict(backbone=dict(init_cfg=None), {model})
train_dataloader = dict(dataset=dict(metainfo=dict(classes='${{class_names(classes)}}')))
"""
FOLLOWING = (
    "panoptic_head=dict(num_things_classes='${class_count(classes, 80)}', loss_cls=dict(class_weight="
    "'${[1.0] * class_count(classes, 80) + [0.1]}')),"
    "panoptic_fusion_head=dict(num_things_classes='${class_count(classes, 80)}')"
)


@pytest.mark.parametrize('follows', [True, False])
def test_mask2former_must_follow_the_chosen_classes(tmp_path, follows):
    path = tmp_path / 'mask2former.py'
    path.write_text(MASK2FORMER.format(model=FOLLOWING if follows else ''))
    cfg = read_config(path, ['classes=cat,dog'])
    dataset = SimpleNamespace(metainfo=cfg.train_dataloader.dataset.metainfo)
    assert dataset.metainfo['classes'] == ('cat', 'dog')
    with MODELS.switch_scope_and_registry('mmdet') as registry:
        model = registry.build(cfg.model)
    if follows:
        return check_head_classes(model, dataset, is_chosen=True)
    with pytest.raises(UserError, match=r'model\.panoptic_head has 80 classes, the data has 2'):
        check_head_classes(model, dataset, is_chosen=True)
