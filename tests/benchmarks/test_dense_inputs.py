"""Random images of detectors and segmentors are valid for the task."""

from __future__ import annotations

import torch

from mae_transfer.benchmarks.dense_inputs import detection_batch, segmentation_batch


def test_boxes_contain_their_masks_and_fill_the_image_s_range():
    batch = detection_batch(3, 4, (64, 96), classes=5, seed=0, objects=20)
    assert [image.shape for image in batch['inputs']] == [(4, 64, 96)] * 3
    for sample in batch['data_samples']:
        objects = sample.gt_instances
        assert len(objects) == 20 and objects.labels.min() >= 0 and objects.labels.max() < 5
        assert (objects.bboxes >= 0).all() and (objects.bboxes <= torch.tensor([96, 64, 96, 64])).all()
        masks = torch.from_numpy(objects.masks.masks)
        assert masks.shape == (20, 64, 96)
        for mask, (left, top, right, bottom) in zip(masks, objects.bboxes):
            rows, columns = mask.nonzero().T
            assert rows.min() >= top - 1 and rows.max() <= bottom and rows.max() - rows.min() >= bottom - top - 3
            assert columns.min() >= left - 1 and columns.max() <= right


def test_label_maps_have_all_kinds_of_pixels():
    batch = segmentation_batch(2, 3, (96, 64), classes=7, seed=0)
    for image, sample in zip(batch['inputs'], batch['data_samples']):
        labels = sample.gt_sem_seg.data
        assert image.shape == (3, 96, 64) and image.dtype == torch.uint8 and labels.shape == (1, 96, 64)
        assert {*labels.unique().tolist()} == {*range(7), 255}
        assert 0.05 < (labels == 255).float().mean() < 0.15


def test_a_seed_decides_all():
    for make in (detection_batch, segmentation_batch):
        one, same, other = (make(1, 3, (32, 32), 5, seed)['inputs'][0] for seed in (1, 1, 2))
        assert torch.equal(one, same) and not torch.equal(one, other)
