"""uint8 photos to normalised tensors, and back."""

import pytest
import torch

from mae_transfer.errors import UserError
from mae_transfer.pretrain import PhotoPreprocessor


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


def test_its_result_is_what_the_model_takes():
    found = PhotoPreprocessor()(batch())
    assert set(found) == {'inputs', 'seeds'}
    assert found['seeds'].tolist() == [1, 2]


def test_the_batch_itself_is_left_as_it_was():
    data = batch()
    before = data['inputs'].clone()
    PhotoPreprocessor()(data)
    assert torch.equal(data['inputs'], before) and 'skipped' in data


def test_images_without_seeds_pass():
    assert set(PhotoPreprocessor()(dict(inputs=batch()['inputs']))) == {'inputs'}


@pytest.mark.parametrize('channels', [1, 3, 5])
def test_uint8_survives_the_round_trip(channels):
    preprocessor = PhotoPreprocessor(
        mean=(100.0, 50.0, 20.0, 3.0, 7.0)[:channels], std=(50.0, 60.0, 70.0, 80.0, 90.0)[:channels]
    )
    data = batch(channels)
    assert torch.equal(preprocessor.to_uint8(preprocessor(data)['inputs']), data['inputs'])


def test_what_lies_outside_is_clamped():
    found = PhotoPreprocessor().to_uint8(torch.tensor([-9.0, 9.0]).reshape(2, 1, 1, 1).expand(-1, 3, 2, 2))
    assert (found[0] == 0).all() and (found[1] == 255).all()


def test_its_buffers_are_no_part_of_a_checkpoint():
    assert not PhotoPreprocessor().state_dict()


def test_channels_without_a_mean_of_their_own_are_refused():
    with pytest.raises(UserError, match='images of 1 channels meet 3 means'):
        PhotoPreprocessor()(dict(inputs=torch.zeros(2, 1, 4, 4, dtype=torch.uint8)))
