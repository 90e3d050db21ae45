"""The caption of reconstructions says what is true of each target."""

import pytest
import torch

from mae_transfer.pretraining.masking import BlockMasking, RandomMasking
from mae_transfer.registry import MODELS
from mae_transfer.visualization.reconstruction_caption import caption_of, heading_of
from tests.visualization.test_reconstruction import batch, mae


def targets() -> dict:
    tokenizer = dict(type='DVAE', vocab_size=16, width=8, num_blocks=1)
    return {
        'PixelTarget': dict(type='PixelTarget'),
        'NormalizedPixelTarget': dict(type='NormalizedPixelTarget'),
        'PCATarget': dict(type='PCATarget', components=6),
        'TokenTarget': dict(type='TokenTarget', tokenizer=tokenizer),
    }


def test_lines_of_a_model_with_its_own_masking():
    model = mae()
    lines = caption_of(model, 'mae/epoch_4.pth', (4, 6), True)
    assert lines == [
        'Model: MAE, ViT 16 wide, 1 blocks, patches of 4 x 4 pixels; mae/epoch_4.pth',
        'Masking: RandomMasking at 50 %, 12 of 24 patches are seen',
        'Kept patches: pasted in from the photo; only hidden ones are predicted',
        f'Target: {model.target.pictured}',
    ]


def test_lines_of_several_maskings():
    model = mae()
    maskings = {'a': RandomMasking(0.75), 'b': BlockMasking(0.9)}
    lines = caption_of(model, 'x', (4, 6), False, maskings)
    assert lines[1] == 'Above: what the encoder sees, 6, 2 of 24 patches; below: the reconstruction'
    assert lines[2] == 'Masking in the config of the run: RandomMasking at 50 %'
    assert 'no loss' in lines[3]
    model.loss_on = 'all'
    assert caption_of(model, 'x', (4, 6), False)[2].endswith('the loss is on all patches')


def test_headings():
    assert heading_of(RandomMasking(0.75), 'random') == 'random\n75 %'
    assert heading_of(BlockMasking(0.333)) == 'BlockMasking\n33.3 %'


@pytest.mark.parametrize('name', ['PixelTarget', 'NormalizedPixelTarget', 'PCATarget'])
def test_only_a_target_that_says_so_borrows_the_brightness_of_hidden_patches(name):
    """The same prediction for a photo and for a brighter one of more contrast: does the picture of hidden patches
    change?"""
    torch.manual_seed(0)
    target = MODELS.build(dict(targets()[name]))
    length = target.dim(4, 3)
    photos = torch.randn(2, 3, 16, 24)
    if name == 'PCATarget':
        target.prepare([photos])
    prediction = torch.randn(2, 24, length)
    borrows = not torch.equal(target.to_pixels(prediction, photos, 4), target.to_pixels(prediction, 2 * photos + 1, 4))
    assert borrows == (name == 'NormalizedPixelTarget') == ('borrows' in target.pictured)


def test_the_line_of_principal_components_names_their_number():
    assert '6 largest' in MODELS.build(targets()['PCATarget']).pictured


def test_tokens_of_kept_patches_are_predicted_too():
    torch.manual_seed(0)
    target = MODELS.build(targets()['TokenTarget'])
    target.use_preprocessor(mae().data_preprocessor)
    target.ready = True
    assert 'also of the kept ones' in target.pictured and 'borrows' not in target.pictured
    photos, logits = batch()['inputs'].float(), torch.randn(2, 6, 16)
    drawn = [target.to_pixels(logits, images, 8) for images in (photos, photos.flip(0))]
    assert torch.equal(*drawn), 'the photo has a part in its picture'
