"""Normalisation of images of any number of channels, for detectors and segmentors."""

import pytest
import torch
from mmdet.models.data_preprocessors import DetDataPreprocessor
from mmdet.structures import DetDataSample
from mmengine.structures import PixelData
from mmseg.models.data_preprocessor import SegDataPreProcessor
from mmseg.structures import SegDataSample

from mae_transfer.dense.detection_preprocessor import DetPreprocessor
from mae_transfer.dense.segmentation_preprocessor import SegPreprocessor
from mae_transfer.errors import UserError

RGB = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375])


def images(channels: int, dtype=torch.float32, sizes=((5, 7), (6, 4))) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randint(0, 256, (channels, *size), generator=generator).to(dtype) for size in sizes]


def detection(inputs) -> dict:
    samples = [DetDataSample(metainfo=dict(img_shape=tuple(image.shape[1:]))) for image in inputs]
    return dict(inputs=inputs, data_samples=samples)


def segmentation(inputs) -> dict:
    samples = []
    for image in inputs:
        sample = SegDataSample(metainfo=dict(img_shape=tuple(image.shape[1:])))
        sample.gt_sem_seg = PixelData(data=torch.zeros(1, *image.shape[1:], dtype=torch.int64))
        samples.append(sample)
    return dict(inputs=inputs, data_samples=samples)


@pytest.mark.parametrize('channels', [1, 3, 4, 13])
@pytest.mark.parametrize('kind', ['detection', 'segmentation'])
def test_each_channel_is_normalised_then_padded_with_zeros(kind, channels):
    mean, std = [10.0 + i for i in range(channels)], [2.0 + i for i in range(channels)]
    own, data = (
        (DetPreprocessor(mean, std, pad_size_divisor=8), detection(images(channels)))
        if kind == 'detection'
        else (SegPreprocessor(mean, std, size=(8, 8), pad_val=0, seg_pad_val=255), segmentation(images(channels)))
    )
    found = own(data, training=True)['inputs']
    assert found.shape == (2, channels, 8, 8) and found.dtype == torch.float32
    for result, image in zip(found, images(channels)):
        height, width = image.shape[1:]
        for channel in range(channels):
            expected = (image[channel] - mean[channel]) / std[channel]
            assert torch.equal(result[channel, :height, :width], expected)
        assert result[:, height:].abs().sum() == result[:, :, width:].abs().sum() == 0


@pytest.mark.parametrize('swapped', [True, False])
@pytest.mark.parametrize('training', [True, False])
def test_rgb_is_as_in_the_libraries(training, swapped):
    for own, theirs, data, settings in (
        (DetPreprocessor, DetDataPreprocessor, detection, dict(pad_size_divisor=8)),
        (SegPreprocessor, SegDataPreProcessor, segmentation, dict(size=(8, 8), pad_val=0, seg_pad_val=255)),
    ):
        inputs = images(3, torch.uint8) if training else images(3, torch.uint8, ((5, 7),))
        settings = dict(settings, **RGB, bgr_to_rgb=swapped)
        found = own(**settings)(data([image.clone() for image in inputs]), training)['inputs']
        expected = theirs(**settings)(data([image.clone() for image in inputs]), training)['inputs']
        assert torch.equal(torch.as_tensor(found), torch.as_tensor(expected))


def test_nothing_of_it_is_in_a_checkpoint():
    assert not DetPreprocessor(**RGB).state_dict() and not SegPreprocessor(**RGB).state_dict()


@pytest.mark.parametrize('own, data', [(DetPreprocessor, detection), (SegPreprocessor, segmentation)])
def test_numbers_of_channels_must_fit(own, data):
    with pytest.raises(UserError, match='mean has 2 values and std 1: give both one for each channel'):
        own(mean=[1, 2], std=[1])
    with pytest.raises(UserError, match='mean and std have 3 values for images of 4 channels: set bands, mean and std'):
        own(**RGB)(data(images(4)))
