"""The masked reconstruction loss on held-out photos."""

import math

import pytest
import torch

from mae_transfer.data import Photos, collate_photos
from mae_transfer.errors import UserError
from mae_transfer.evaluation import ReconstructionLoss
from mae_transfer.runner import StrictRunner
from tests.helpers import photo_folder, pretraining


def test_the_loss_is_the_mean_over_the_images_of_all_batches():
    metric = ReconstructionLoss()
    metric.process({}, [dict(loss=1.0), dict(loss=2.0)])
    metric.process({}, [dict(loss=6.0)])
    assert metric.evaluate(3) == {'reconstruction/masked_loss': pytest.approx(3.0)}


def test_images_that_fill_up_the_last_batch_do_not_count():
    metric = ReconstructionLoss()
    metric.process({}, [dict(loss=1.0), dict(loss=2.0), dict(loss=600.0)])
    assert metric.evaluate(2) == {'reconstruction/masked_loss': pytest.approx(1.5)}


@pytest.mark.parametrize(
    'losses, says',
    [
        ([], 'no image was evaluated'),
        (
            [1.0, math.nan],
            'the reconstruction loss of 1 of 2 images is not finite: the training of these weights failed',
        ),
        ([math.inf], 'the reconstruction loss of 1 of 1 images is not finite'),
    ],
)
def test_a_mean_that_says_nothing_is_an_error(losses, says):
    metric = ReconstructionLoss()
    metric.process({}, [dict(loss=loss) for loss in losses])
    with pytest.raises(UserError, match=says):
        metric.evaluate(len(losses))


def test_a_run_reports_the_model_s_loss_with_each_photo_s_own_mask(tmp_path):
    photos = photo_folder(tmp_path / 'photos', 6)
    runner = StrictRunner.from_cfg(pretraining(photos, tmp_path / 'run'))
    found = runner.val()['reconstruction/masked_loss']
    assert runner.val()['reconstruction/masked_loss'] == found  # the same masks each time

    held_out = Photos(str(photos), 'val', img_size=16, hold_out=0.5)
    model = runner.model.eval()
    with torch.no_grad():
        losses = [model(**model.data_preprocessor(collate_photos([held_out[i]])))['loss'].item() for i in range(3)]
    assert found == pytest.approx(sum(losses) / 3, rel=1e-5)
