"""mmcv's ops by torchvision: which are available, which are refused, and that the results are torchvision's."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st

from mae_transfer import compat
from mae_transfer.compat import native_ops

compat.install()
mmcv_ops = pytest.importorskip('mmcv.ops')
by_torchvision = pytest.mark.skipif(native_ops.install() != 'torchvision', reason='mmcv is compiled here')

DEVICES = ['cpu', pytest.param('cuda', marks=pytest.mark.skipif(not torch.cuda.is_available(), reason='no GPU'))]


def some_rois(count=12, images=2, extent=40.0, seed=0):
    generator = torch.Generator().manual_seed(seed)
    corners = torch.rand(count, 4, generator=generator) * extent
    boxes = torch.cat([torch.minimum(corners[:, :2], corners[:, 2:]), torch.maximum(corners[:, :2], corners[:, 2:])], 1)
    return torch.cat([torch.arange(count)[:, None] % images, boxes], dim=1)


def some_boxes(count=60, seed=0):
    return some_rois(count, extent=60.0, seed=seed)[:, 1:], torch.rand(
        count, generator=torch.Generator().manual_seed(seed + 1)
    )


# The module that mmcv imports.


@by_torchvision
def test_the_module_is_found_like_any_other():
    spec = importlib.util.find_spec('mmcv._ext')
    assert spec.name == 'mmcv._ext' and spec.origin == 'mae_transfer.compat.native_ops'
    from mmengine.utils.dl_utils import mmcv_full_available

    assert mmcv_full_available()


@by_torchvision
def test_installing_again_keeps_the_module():
    before = sys.modules['mmcv._ext']
    compat.install()
    assert sys.modules['mmcv._ext'] is before
    assert native_ops.install() == 'torchvision'


@by_torchvision
def test_a_missing_op_raises_only_when_it_is_called():
    boxes, scores = some_boxes(4)
    with pytest.raises(RuntimeError, match="mmcv op 'softnms' is not one of those .*nms, roi_align.*MMCV_WITH_OPS=1"):
        mmcv_ops.soft_nms(boxes, scores)
    op = sys.modules['mmcv._ext'].an_op_of_tomorrow
    with pytest.raises(RuntimeError, match="'an_op_of_tomorrow'"):
        op()


@by_torchvision
@pytest.mark.parametrize('name', ['__path__', '__file__', '__wrapped__', '_private'])
def test_private_names_are_not_ops(name):
    assert not hasattr(sys.modules['mmcv._ext'], name)


@by_torchvision
def test_a_bug_report_can_be_collected():
    assert mmcv_ops.get_compiler_version() == 'not compiled: nms and roi_align by torchvision'
    assert mmcv_ops.get_compiling_cuda_version() == 'not compiled'


# RoIAlign.


@by_torchvision
@pytest.mark.parametrize('device', DEVICES)
@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
@pytest.mark.parametrize('sampling_ratio', [0, 2])
@pytest.mark.parametrize('aligned', [True, False])
def test_roi_align_and_its_gradient_are_torchvisions(aligned, sampling_ratio, dtype, device):
    features = torch.randn(2, 3, 20, 24, dtype=dtype, device=device, generator=torch.Generator(device).manual_seed(0))
    rois = some_rois().to(device, dtype)
    ours, theirs = features.clone().requires_grad_(), features.clone().requires_grad_()
    output = mmcv_ops.RoIAlign((5, 7), 0.5, sampling_ratio, aligned=aligned)(ours, rois)
    expected = torchvision.ops.roi_align(theirs, rois, (5, 7), 0.5, sampling_ratio, aligned)
    if device == 'cpu':  # ours, which adds up in another order
        torch.testing.assert_close(output, expected)
    else:
        assert torch.equal(output, expected)

    # A gradient that is not contiguous, as from a head that permutes dimensions.
    gradient = torch.randn_like(expected).transpose(2, 3).contiguous().transpose(2, 3)
    output.backward(gradient)
    expected.backward(gradient)
    torch.testing.assert_close(ours.grad, theirs.grad)


@by_torchvision
@pytest.mark.parametrize('aligned', [True, False])
def test_roi_align_passes_gradcheck(aligned):
    features = torch.randn(1, 2, 5, 6, dtype=torch.float64, requires_grad=True)
    rois = torch.tensor([[0.0, 0.3, 0.7, 4.1, 3.9], [0.0, 1.0, 1.0, 2.5, 4.5]], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: mmcv_ops.roi_align(x, rois, 2, 1.0, 2, 'avg', aligned), features)


@by_torchvision
def test_roi_align_of_zero_boxes():
    features = torch.randn(2, 3, 8, 8, requires_grad=True)
    output = mmcv_ops.RoIAlign(7)(features, torch.zeros(0, 5))
    assert output.shape == (0, 3, 7, 7)
    output.sum().backward()
    assert torch.equal(features.grad, torch.zeros_like(features))


@by_torchvision
def test_roi_align_reads_any_memory_format():
    features = torch.randn(2, 3, 20, 24)
    align = mmcv_ops.RoIAlign(7, 0.5, 2)
    assert torch.equal(align(features.to(memory_format=torch.channels_last), some_rois()), align(features, some_rois()))


@by_torchvision
def test_roi_align_refuses_maximum_pooling():
    with pytest.raises(RuntimeError, match="pool_mode='max' is not provided.*use pool_mode='avg'"):
        mmcv_ops.RoIAlign(7, pool_mode='max')(torch.randn(2, 3, 8, 8), some_rois())


@by_torchvision
@pytest.mark.parametrize('device', DEVICES)
@pytest.mark.parametrize('autocast', [True, False])
@pytest.mark.parametrize('rois_dtype', [None, torch.float32])
@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_float32(dtype, rois_dtype, autocast, device):
    features = torch.randn(2, 3, 20, 24, device=device).to(dtype)
    rois = some_rois().to(device, rois_dtype or dtype)
    half, single = features.clone().requires_grad_(), features.float().requires_grad_()
    with torch.autocast(device, dtype, enabled=autocast):
        output = mmcv_ops.RoIAlign(7, 0.5, 2)(half, rois)
    expected = torchvision.ops.roi_align(single, rois.float(), 7, 0.5, 2, True)
    torch.testing.assert_close(output, expected.to(dtype))  # within the rounding to half precision

    gradient = torch.randn_like(output)
    output.backward(gradient)
    expected.backward(gradient.float())
    torch.testing.assert_close(half.grad, single.grad.to(dtype), rtol=0, atol=0.02)


# NMS.


@by_torchvision
@pytest.mark.parametrize('device', DEVICES)
@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
@pytest.mark.parametrize('threshold', [0.0, 0.3, 0.7, 1.0])
def test_nms_keeps_what_torchvision_keeps(threshold, dtype, device):
    boxes, scores = (tensor.to(device, dtype) for tensor in some_boxes())
    keep = torchvision.ops.nms(boxes, scores, threshold)
    dets, indices = mmcv_ops.nms(boxes, scores, threshold)
    assert torch.equal(indices, keep)
    assert torch.equal(dets, torch.cat([boxes[keep], scores[keep, None]], dim=1))

    _, first = mmcv_ops.nms(boxes, scores, threshold, score_threshold=0.5, max_num=3)
    good = (scores > 0.5).nonzero()[:, 0]
    assert torch.equal(first, good[torchvision.ops.nms(boxes[good], scores[good], threshold)[:3]])


@by_torchvision
@pytest.mark.parametrize('split', [10000, 1])
def test_batched_nms_keeps_what_torchvision_keeps(split):
    boxes, scores = some_boxes()
    labels = torch.arange(len(boxes)) % 3
    keep = torchvision.ops.batched_nms(boxes, scores, labels, 0.3)
    dets, indices = mmcv_ops.batched_nms(boxes, scores, labels, dict(type='nms', iou_threshold=0.3, split_thr=split))
    assert torch.equal(indices, keep)
    assert torch.equal(dets, torch.cat([boxes[keep], scores[keep, None]], dim=1))


@by_torchvision
def test_nms_of_zero_boxes():
    dets, indices = mmcv_ops.nms(torch.zeros(0, 4), torch.zeros(0), 0.5, offset=1)
    assert dets.shape == (0, 5) and indices.shape == (0,) and indices.dtype == torch.long


@by_torchvision
def test_nms_reads_arrays():
    boxes, scores = some_boxes()
    dets, indices = mmcv_ops.nms(boxes.numpy(), scores.numpy(), 0.5)
    assert isinstance(dets, np.ndarray) and indices.tolist() == torchvision.ops.nms(boxes, scores, 0.5).tolist()


@by_torchvision
@pytest.mark.parametrize(
    'boxes_dtype, scores_dtype',
    [
        (torch.float32, torch.bfloat16),
        (torch.float32, torch.float16),
        (torch.bfloat16, torch.bfloat16),
        (torch.float16, torch.float16),
        (torch.float32, torch.float64),
    ],
)
def test_nms_reads_mixed_and_half_precision(boxes_dtype, scores_dtype):
    boxes, scores = some_boxes()
    boxes, scores = boxes.to(boxes_dtype), scores.to(scores_dtype)
    indices = native_ops.nms(boxes, scores, 0.5, offset=0)
    assert torch.equal(indices, torchvision.ops.nms(boxes.double(), scores.double(), 0.5))


@by_torchvision
def test_nms_distinguishes_scores_that_are_equal_in_float32():
    boxes, scores = torch.tensor([[0.0, 0.0, 4.0, 4.0]] * 2), torch.tensor([0.5, 0.5 + 1e-12], dtype=torch.float64)
    assert mmcv_ops.nms(boxes, scores, 0.5)[1].tolist() == [1]


def plain_nms(boxes, scores, threshold, offset):
    def area(box):
        return (box[2] - box[0] + offset) * (box[3] - box[1] + offset)

    def overlap(a, b):
        width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]) + offset)
        height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]) + offset)
        return width * height / (area(a) + area(b) - width * height)

    kept = []
    for index in sorted(range(len(boxes)), key=lambda i: -scores[i]):
        if all(overlap(boxes[better], boxes[index]) <= threshold for better in kept):
            kept.append(index)
    return kept


corner, side = st.integers(0, 2000).map(lambda n: n / 8), st.integers(1, 400).map(lambda n: n / 8)
boxes_with_scores = st.lists(st.tuples(corner, corner, side, side, st.integers(0, 8)), min_size=1, max_size=12)


@by_torchvision
@settings(max_examples=200, deadline=None)
@given(boxes_with_scores, st.sampled_from([0.1, 0.25, 0.3, 0.5, 0.7, 0.75]), st.sampled_from([0, 1]))
def test_nms_agrees_with_plain_python(rows, threshold, offset):
    """Coordinates are multiples of 1/8: sums and products are exact, so that even an IoU equal to the threshold is
    compared correctly."""
    boxes = [(x, y, x + w, y + h) for x, y, w, h, _ in rows]
    scores = [row[4] / 8 for row in rows]
    # In float64: torchvision would compare a float32 IoU with a float64 threshold, which differ at 0.1.
    _, keep = mmcv_ops.nms(
        torch.tensor(boxes, dtype=torch.float64), torch.tensor(scores, dtype=torch.float64), threshold, offset=offset
    )
    assert keep.tolist() == plain_nms(boxes, scores, threshold, offset)


@by_torchvision
@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(*[st.floats(0, 500, width=32, allow_subnormal=False)] * 4, st.integers(0, 8)), min_size=1, max_size=12
    )
)
def test_nms_with_the_offset_agrees_with_plain_python_on_float32(rows):
    boxes = [(min(a, c), min(b, d), max(a, c), max(b, d)) for a, b, c, d, _ in rows]
    scores = [row[4] / 8 for row in rows]
    _, keep = mmcv_ops.nms(torch.tensor(boxes), torch.tensor(scores), 0.437, offset=1)
    assert keep.tolist() == plain_nms(boxes, scores, 0.437, 1)


@by_torchvision
def test_the_offset_does_not_round_float32_boxes():
    boxes = [(0.0, 0.0, 2.0**-30, 0.0), (0.0, 0.0, 0.0, 0.0)]  # in float32 both would be 1 pixel wide, with an IoU of 1
    _, keep = mmcv_ops.nms(torch.tensor(boxes), torch.tensor([0.9, 0.8]), 1 - 2.0**-31, offset=1)
    assert keep.tolist() == plain_nms(boxes, [0.9, 0.8], 1 - 2.0**-31, 1) == [0, 1]


# A model that needs the ops.


@by_torchvision
def test_mask_rcnn_learns_and_predicts():
    import mmdet
    from mmdet.registry import MODELS
    from mmdet.testing import demo_mm_inputs
    from mmengine.config import Config
    from mmengine.registry import init_default_scope

    init_default_scope('mmdet')
    config = Config.fromfile(Path(mmdet.__file__).parent / '.mim/configs/_base_/models/mask-rcnn_r50_fpn.py').model
    config.backbone.update(depth=18, init_cfg=None)
    config.neck.update(in_channels=[64, 128, 256, 512], out_channels=8)
    config.rpn_head.update(in_channels=8, feat_channels=8)
    head = config.roi_head
    head.bbox_roi_extractor.out_channels = head.mask_roi_extractor.out_channels = 8
    head.bbox_head.update(in_channels=8, fc_out_channels=16, num_classes=2)
    head.mask_head.update(in_channels=8, conv_out_channels=8, num_convs=1, num_classes=2)
    config.test_cfg.rcnn.update(score_thr=0.0)
    torch.manual_seed(0)
    model = MODELS.build(config)
    inputs = demo_mm_inputs(2, [[3, 64, 64]] * 2, num_items=[2, 2], num_classes=2, with_mask=True)

    data = model.data_preprocessor(inputs, True)
    loss, parts = model.parse_losses(model(**data, mode='loss'))
    loss.backward()
    assert {'loss_rpn_cls', 'loss_rpn_bbox', 'loss_cls', 'loss_bbox', 'loss_mask'} < set(parts) and torch.isfinite(loss)
    assert model.roi_head.mask_head.convs[0].conv.weight.grad.abs().sum() > 0
    assert model.neck.fpn_convs[0].conv.weight.grad.abs().sum() > 0

    model.eval()
    with torch.no_grad():
        found = model(**model.data_preprocessor(inputs, False), mode='predict')
    instances = found[0].pred_instances
    assert len(instances) > 0 and instances.masks.shape[0] == len(instances.bboxes)
