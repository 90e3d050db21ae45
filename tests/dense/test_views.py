"""Test-time augmentation: the views of an image, how they are merged, and the result."""

import cv2
import numpy as np
import pytest
import torch
from mmcv.transforms import Compose
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import DefaultScope
from mmseg.datasets import transforms  # noqa: F401  (registers them)

from mae_transfer.dense.views import AveragedViews, average_views
from mae_transfer.errors import UserError
from tests.dense.small_segmentor import batch, photo, segmentor

OWN_SIZE = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='PackSegInputs')]
RESIZED = [OWN_SIZE[0], dict(type='Resize', scale=(80, 40), keep_ratio=True), *OWN_SIZE[1:]]
EARLY_LABELS = [*OWN_SIZE[:2], dict(type='Resize', scale=(80, 40), keep_ratio=True), OWN_SIZE[2]]


def config(pipeline=RESIZED, **tta):
    return Config(
        dict(
            default_scope='mmseg',
            tta=tta or None,
            model=dict(type='X'),
            test_dataloader=dict(dataset=dict(type='Y', pipeline=pipeline)),
        )
    )


def views_of(image, labels, pipeline, folder, **tta):
    """The batch that a test gives the model for one image (H, W, 3) and its labels (H, W)."""
    cfg = average_views(config(pipeline, **tta))
    assert cfg.model.type == 'mae_transfer.AveragedViews' and cfg.model.module.type == 'X'
    cv2.imwrite(str(folder / 'image.png'), image)
    cv2.imwrite(str(folder / 'labels.png'), labels)
    with DefaultScope.overwrite_default_scope('mmseg'):
        compose = Compose(cfg.test_dataloader.dataset.pipeline)
        return pseudo_collate(
            [
                compose(
                    dict(
                        img_path=str(folder / 'image.png'),
                        seg_map_path=str(folder / 'labels.png'),
                        label_map=None,
                        reduce_zero_label=False,
                        seg_fields=[],
                    )
                )
            ]
        )


@pytest.mark.parametrize('pipeline, first', [(RESIZED, (40, 64)), (EARLY_LABELS, (40, 64)), (OWN_SIZE, (50, 80))])
def test_each_scale_is_seen_unchanged_and_mirrored(pipeline, first, tmp_path):
    image = photo(50, 80).permute(1, 2, 0).numpy()
    labels = np.arange(50 * 80, dtype=np.uint8).reshape(50, 80)
    data = views_of(image, labels, pipeline, tmp_path, scales=(1.0, 0.5, 1.75), flip=True)
    shapes = [tuple(image.shape[1:]) for (image,) in data['inputs']]
    assert shapes == [tuple(int(side * scale + 0.5) for side in first) for scale in (1.0, 0.5, 1.75) for _ in range(2)]
    for (seen,), (mirrored,) in zip(data['inputs'][::2], data['inputs'][1::2]):
        assert torch.equal(mirrored, seen.flip(2)) and not torch.equal(mirrored, seen)
    for i, (sample,) in enumerate(data['data_samples']):
        assert sample.flip == (i % 2 == 1) and sample.ori_shape == (50, 80)
        # The labels are neither resized nor mirrored.
        assert torch.equal(sample.gt_sem_seg.data[0], torch.from_numpy(labels.astype(np.int64)))


def test_the_config_itself_is_not_changed():
    cfg = config(scales=(1.0, 0.5), flip=True)
    before = Config(cfg.to_dict())
    views = average_views(cfg)
    assert cfg.to_dict() == before.to_dict() and views.default_scope == 'mmseg' and views.tta == cfg.tta


def test_data_sets_inside_wrappers_get_the_views():
    cfg = config(scales=(1.0, 0.5), flip=True)
    whole = average_views(cfg).test_dataloader.dataset.pipeline
    cfg.test_dataloader.dataset = dict(type='ConcatDataset', datasets=[cfg.test_dataloader.dataset] * 2)
    parts = average_views(cfg).test_dataloader.dataset.datasets
    assert [part.pipeline for part in parts] == [whole, whole] and whole[-1].type == 'TestTimeAug'


def test_without_flip_no_view_is_mirrored(tmp_path):
    data = views_of(
        np.zeros((50, 80, 3), np.uint8), np.zeros((50, 80), np.uint8), RESIZED, tmp_path, scales=[1.0, 0.5], flip=False
    )
    assert [sample.flip for (sample,) in data['data_samples']] == [False, False]


def views(image, *scales):
    """A batch of views of one image: each scale unchanged and mirrored."""
    resized = [
        torch.nn.functional.interpolate(image[None].float(), scale_factor=scale)[0].to(torch.uint8) for scale in scales
    ]
    size = tuple(image.shape[1:])
    seen = [
        batch(view.flip(2) if flip else view, ori_shape=size, flip=flip) for view in resized for flip in (False, True)
    ]
    return {key: [view[key] for view in seen] for key in seen[0]}


@pytest.mark.parametrize('mode', ['whole', 'slide'])
def test_probabilities_of_the_views_are_averaged(mode):
    model, image = segmentor(dict(mode=mode, crop_size=(64, 64), stride=(43, 43))), photo(50, 77)
    expected = 0
    for scale in (0.5, 1.0, 2.0):
        resized = torch.nn.functional.interpolate(image[None].float(), scale_factor=scale)[0].to(torch.uint8)
        for flip in (False, True):
            view = (resized.flip(2) if flip else resized).float()
            with torch.no_grad():
                logits = model.inference((view[None] - 128) / 64, [dict(ori_shape=(50, 77))])
            logits = torch.nn.functional.interpolate(logits.flip(3) if flip else logits, (50, 77), mode='bilinear')
            expected = expected + logits[0].softmax(0) / 6
    (sample,) = AveragedViews(model).test_step(views(image, 0.5, 1.0, 2.0))
    torch.testing.assert_close(sample.probabilities.data, expected, rtol=0, atol=1e-5)
    assert (
        torch.equal(sample.pred_sem_seg.data, expected.argmax(0, keepdim=True))
        and len(sample.pred_sem_seg.data.unique()) > 1
    )
    single = model.test_step(batch(image))[0].seg_logits.data.softmax(0)
    assert (single - expected).abs().max() > 1e-3  # the views do differ


def test_mirror_images_are_mirrored_back():
    """For a model that classifies each pixel alone, all views mirrored back are the same."""
    model, image = segmentor(classes=3), photo(33, 47)
    model.encode_decode = lambda inputs, metas: inputs
    (sample,) = AveragedViews(model).test_step(views(image, 1.0))
    expected = ((image.float() - 128) / 64).softmax(0)
    torch.testing.assert_close(sample.probabilities.data, expected, rtol=0, atol=1e-6)
    assert not torch.allclose(expected, expected.flip(2), atol=0.1)


def test_a_symmetric_image_has_a_symmetric_prediction():
    half = photo(64, 40)
    image = torch.cat([half, half.flip(2)], dim=2)
    model = segmentor()
    (sample,) = AveragedViews(model).test_step(views(image, 1.0, 2.0))
    probabilities = sample.probabilities.data
    torch.testing.assert_close(probabilities, probabilities.flip(2), rtol=0, atol=1e-6)
    alone = model.test_step(batch(image))[0].seg_logits.data.softmax(0)
    assert (alone - alone.flip(2)).abs().max() > 1e-3


def test_a_batch_of_images_stays_in_order():
    model, images = segmentor(), [photo(40, 50, seed) for seed in (1, 2)]
    together = {
        key: [[value for image in images for value in views(image, 1.0)[key][view]] for view in range(2)]
        for key in ('inputs', 'data_samples')
    }
    for sample, image in zip(AveragedViews(model).test_step(together), images):
        (alone,) = AveragedViews(model).test_step(views(image, 1.0))
        torch.testing.assert_close(sample.probabilities.data, alone.probabilities.data, rtol=0, atol=1e-5)


def test_a_single_class_is_compared_with_the_threshold():
    model, image = segmentor(classes=2), photo(33, 47)
    model.decode_head.out_channels, model.decode_head.threshold = 1, 0.6
    model.out_channels = 1
    model.encode_decode = lambda inputs, metas: inputs[:, :1]
    (sample,) = AveragedViews(model).test_step(views(image, 1.0))
    expected = ((image[0].float() - 128) / 64).sigmoid()
    torch.testing.assert_close(sample.probabilities.data[0], expected, rtol=0, atol=1e-6)
    assert torch.equal(sample.pred_sem_seg.data[0].bool(), expected > 0.6)


@pytest.mark.parametrize(
    'tta, words',
    [
        ({}, '--tta needs a config with tta=dict'),
        (dict(scales=(), flip=True), 'factors above zero'),
        (dict(scales=(1.0, 0.0)), 'factors above zero, e.g. (.5,1.,1.5); found (1.0, 0.0)'),
        (dict(scales='large'), 'factors above zero'),
        (dict(flip=True), 'factors above zero'),
    ],
)
def test_an_invalid_setting_is_refused_in_one_line(tta, words):
    with pytest.raises(UserError) as error:
        average_views(config(**tta))
    assert words in str(error.value) and '\n' not in str(error.value)
