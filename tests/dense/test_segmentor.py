"""The segmentor on images of any size, in sliding windows or as a whole; the precision of its losses."""

import pytest
import torch
from mmengine.registry import DefaultScope
from mmseg.models import EncoderDecoder

from tests.dense.small_segmentor import batch, photo, segmentor

SLIDE = dict(mode='slide', crop_size=(64, 64), stride=(43, 43))


def predict(model, image, **kwargs):
    """The logits (classes, H, W), and the sizes of the ViT's inputs."""
    seen = []
    handle = model.backbone.register_forward_pre_hook(lambda module, args: seen.append(tuple(args[0].shape[2:])))
    with torch.no_grad():
        (sample,) = model.test_step(batch(image, **kwargs))
    handle.remove()
    assert sample.pred_sem_seg.data.shape[1:] == sample.ori_shape
    assert torch.equal(sample.pred_sem_seg.data[0], sample.seg_logits.data.argmax(0))
    return sample.seg_logits.data, seen


@pytest.mark.parametrize('size', [(64, 64), (30, 151), (17, 19), (100, 65), (1, 40), (129, 64)])
@pytest.mark.parametrize('test_cfg', [SLIDE, dict(mode='whole')])
def test_images_of_any_size_are_padded_to_the_stride(test_cfg, size):
    logits, seen = predict(segmentor(test_cfg), photo(*size))
    assert logits.shape == (5, *size) and logits.isfinite().all()
    up = [-(-side // 32) * 32 for side in size]
    if test_cfg['mode'] == 'whole':
        assert seen == [tuple(up)]
    else:
        windows = [1 + -(-max(side - 64, 0) // 43) for side in size]
        assert seen == [tuple(min(side, 64) for side in up)] * (windows[0] * windows[1])


@pytest.mark.parametrize('mode', ['slide', 'whole'])
def test_the_prediction_has_the_image_s_own_size(mode):
    logits, seen = predict(segmentor(dict(SLIDE, mode=mode)), photo(70, 90), ori_shape=(211, 270))
    assert logits.shape == (5, 211, 270)


@pytest.mark.parametrize('size', [(64, 64), (50, 41), (64, 33)])
@pytest.mark.parametrize('stride', [(64, 64), (43, 43)])
def test_one_window_is_the_whole_image(size, stride):
    image = photo(*size)
    slid, _ = predict(segmentor(dict(mode='slide', crop_size=(64, 64), stride=stride)), image)
    whole, _ = predict(segmentor(dict(mode='whole')), image)
    assert torch.equal(slid, whole) and slid.std() > 0.01


def test_windows_contain_no_padding_and_overlaps_are_averaged():
    """70 x 100 with windows of 64 and stride 43: they begin at rows 0 and 6 and columns 0 and 36."""
    model, image = segmentor(SLIDE), photo(70, 100)
    normalised = (image.float() - 128) / 64
    total, count, windows = torch.zeros(5, 70, 100), torch.zeros(70, 100), []
    handle = model.backbone.register_forward_pre_hook(lambda module, args: windows.append(args[0][0]))
    logits = predict(model, image)[0]
    handle.remove()
    with torch.no_grad():
        for i, (top, left) in enumerate((top, left) for top in (0, 6) for left in (0, 36)):
            window = normalised[:, top : top + 64, left : left + 64]
            assert torch.equal(windows[i], window)
            total[:, top : top + 64, left : left + 64] += model.encode_decode(window[None], [dict()])[0]
            count[top : top + 64, left : left + 64] += 1
    torch.testing.assert_close(logits, total / count, rtol=0, atol=1e-5)


@pytest.mark.parametrize('size', [(96, 64), (160, 200), (64, 64), (32, 224)])
def test_sliding_gives_mmsegmentation_s_bits(size):
    model = segmentor(SLIDE)
    inputs = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))
    metas = [dict(img_shape=size) for _ in inputs]
    with torch.no_grad():
        theirs = EncoderDecoder.slide_inference(model, inputs, metas)
        assert torch.equal(model.slide_inference(inputs, metas), theirs) and theirs.std() > 0.01


def test_without_padding_the_result_is_mmsegmentation_s():
    image, model = photo(96, 64), segmentor()
    ours, _ = predict(model, image)
    model.__class__ = EncoderDecoder
    theirs, _ = predict(model, image)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


def test_padding_does_not_stretch_the_prediction():
    """The logits of an image of 50 x 41 are those of the same image padded beforehand."""
    model, image = segmentor(), photo(50, 41)
    padded = torch.full((3, 64, 64), 128, dtype=torch.uint8)  # zero after normalisation
    padded[:, :50, :41] = image
    assert torch.equal(predict(model, image)[0], predict(model, padded)[0][:, :50, :41])


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_logits_are_float32_under_autocast(dtype):
    model = segmentor()
    seen = []
    for head in (model.decode_head, model.auxiliary_head):
        head.conv_seg.register_forward_hook(lambda module, args, output: seen.append((args[0].dtype, output.dtype)))
        head.loss_decode.register_forward_pre_hook(lambda module, args: seen.append((args[0].dtype, args[0].shape[2:])))
    data = model.data_preprocessor(batch(photo(64, 64), photo(64, 64, 1)), training=True)
    with torch.autocast('cpu', dtype), DefaultScope.overwrite_default_scope('mmseg'):
        losses = model(**data, mode='loss')
    assert seen == [(dtype, torch.float32), (torch.float32, (64, 64))] * 2
    assert losses['decode.loss_ce'].dtype == losses['aux.loss_ce'].dtype == torch.float32
