"""uint8 photos are normalised, and normalised images are turned back into uint8."""

import pytest
import torch

from mae_transfer.errors import UserError
from mae_transfer.pretraining import PhotoPreprocessor


def batch(channels: int = 3) -> dict:
    return dict(
        inputs=torch.randint(0, 256, (2, channels, 4, 4), dtype=torch.uint8),
        seeds=torch.tensor([1, 2]),
        skipped=['a.jpg'],
    )


def test_images_are_normalised_by_imagenets_mean_and_deviation():
    data = batch()
    found = PhotoPreprocessor()(data)['inputs']
    assert found.dtype == torch.float32
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    expected = (data['inputs'] / 255 - mean[:, None, None]) / std[:, None, None]
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_it_returns_the_arguments_of_the_model():
    found = PhotoPreprocessor()(batch())
    assert set(found) == {'inputs', 'seeds'}
    assert found['seeds'].tolist() == [1, 2]


def test_the_batch_itself_is_not_changed():
    data = batch()
    before = data['inputs'].clone()
    PhotoPreprocessor()(data)
    assert torch.equal(data['inputs'], before) and 'skipped' in data


def test_images_without_seeds_are_accepted():
    assert set(PhotoPreprocessor()(dict(inputs=batch()['inputs']))) == {'inputs'}


@pytest.mark.parametrize('channels', [3, 5])
def test_views_are_normalised_as_images_are(channels):
    preprocessor, images = preprocessor_of(channels), torch.randint(0, 256, (2, 2, channels, 4, 4), dtype=torch.uint8)
    found = preprocessor(dict(inputs=images))['inputs']
    for view in (0, 1):
        assert torch.equal(found[:, view], preprocessor(dict(inputs=images[:, view]))['inputs'])
    with pytest.raises(UserError, match='values for images of 2 channels'):
        preprocessor(dict(inputs=images.transpose(1, 2)))


def preprocessor_of(channels: int) -> PhotoPreprocessor:
    mean, std = (100.0, 50.0, 20.0, 3.0, 7.0), (50.0, 60.0, 70.0, 80.0, 90.0)
    return PhotoPreprocessor(mean=mean[:channels], std=std[:channels])


@pytest.mark.parametrize('channels', [1, 3, 5])
def test_uint8_survives_the_round_trip(channels):
    preprocessor, data = preprocessor_of(channels), batch(channels)
    assert torch.equal(preprocessor.to_uint8(preprocessor(data)['inputs']), data['inputs'])


@pytest.mark.parametrize('channels', [1, 3, 5])
def test_unit_range_is_a_255th_of_the_bytes_and_leads_back_to_the_normalised_images(channels):
    preprocessor, data = preprocessor_of(channels), batch(channels)
    normalised = preprocessor(data)['inputs']
    unit = preprocessor.to_unit(normalised)
    torch.testing.assert_close(unit, data['inputs'] / 255, rtol=0, atol=1e-6)
    torch.testing.assert_close(preprocessor.from_unit(unit), normalised, rtol=1e-5, atol=1e-5)


def test_values_outside_the_range_of_colours_are_clamped():
    outside = torch.tensor([-9.0, 9.0]).reshape(2, 1, 1, 1).expand(-1, 3, 2, 2)
    found, unit = PhotoPreprocessor().to_uint8(outside), PhotoPreprocessor().to_unit(outside)
    assert (found[0] == 0).all() and (found[1] == 255).all()
    assert (unit[0] == 0).all() and (unit[1] == 1).all()


def test_a_checkpoint_does_not_contain_its_buffers():
    assert not PhotoPreprocessor().state_dict()


def test_a_number_of_channels_other_than_that_of_the_means_is_refused():
    with pytest.raises(UserError, match='data_preprocessor.mean has 3 values for images of 1 channels'):
        PhotoPreprocessor()(dict(inputs=torch.zeros(2, 1, 4, 4, dtype=torch.uint8)))
