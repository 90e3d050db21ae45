"""The setting ``bands``, and what follows from it."""

import pytest

from mae_transfer.data.files.bands import (
    channel_count,
    channel_values,
    jitter_colours,
    load_image,
    mean_of,
    rand_augment,
    resolve_bands,
    std_of,
)
from mae_transfer.dense.detection_preprocessor import DetPreprocessor
from mae_transfer.dense.segmentation_preprocessor import SegPreprocessor
from mae_transfer.errors import UserError
from mae_transfer.pretraining import PhotoPreprocessor


@pytest.mark.parametrize(
    'given, bands, channels',
    [
        ('RGB', 'RGB', 3),
        ('L', 'L', 1),
        ((3, 2, 1, 7), (3, 2, 1, 7), 4),
        ([1], (1,), 1),
        (1, (1,), 1),
        ('3,2,1,7', (3, 2, 1, 7), 4),
        ('(3, 2, 1)', (3, 2, 1), 3),
        ('[2]', (2,), 1),
        ('(1,)', (1,), 1),
        (range(1, 17), tuple(range(1, 17)), 16),
    ],
)
def test_every_way_of_writing_bands(given, bands, channels):
    assert resolve_bands(given) == bands and channel_count(given) == channels


@pytest.mark.parametrize('given', ['rgb', 'GREY', '', (), 0, (0, 1), (1, -2), (1.0, 2.0), True, (True,), None, '1;2'])
def test_anything_else_is_refused(given):
    with pytest.raises(UserError, match=r"bands is 'RGB', 'L' \(grey\) or numbers .* counted from 1, e.g. \(3,2,1,7\)"):
        resolve_bands(given)


def test_statistics_are_known_for_rgb_alone():
    assert mean_of('RGB') == (123.675, 116.28, 103.53) and std_of('RGB') == (58.395, 57.12, 57.375)
    for function, name in ((mean_of, 'mean'), (std_of, 'std')):
        with pytest.raises(UserError) as error:
            function((1, 2, 3))
        assert f'bands=(1, 2, 3) needs its own {name}, 3 value(s)' in str(error.value)
        assert 'python -m mae_transfer.data.statistics DATA --bands ...' in str(error.value)


@pytest.mark.parametrize('orientation, colour', [(True, 'color'), (False, 'color_ignore_orientation')])
def test_rgb_is_loaded_by_mmcv_and_other_bands_by_our_own(orientation, colour):
    assert load_image('RGB', orientation) == dict(type='LoadImageFromFile', color_type=colour)
    own = load_image((2, 1), orientation)
    assert own == dict(type='mae_transfer.LoadBands', bands=(2, 1), exif_orientation=orientation)


def test_colours_are_augmented_in_rgb_alone():
    assert rand_augment('RGB') == 'rand-m9-mstd0.5-inc1' and rand_augment('L') is None
    assert jitter_colours('RGB') == dict(type='PhotoMetricDistortion')
    assert jitter_colours((1, 2, 3)) == dict(type='mae_transfer.Unchanged')


@pytest.mark.parametrize('given, numbers', [(117, (117.0,)), (0.5, (0.5,)), ([1, 2.5], (1.0, 2.5)), ((3,), (3.0,))])
@pytest.mark.parametrize('name', ['mean', 'std'])
def test_values_of_the_channels(name, given, numbers):
    assert channel_values(name, given) == numbers


@pytest.mark.parametrize(
    'given',
    [None, 'imagenet', [], {}, [[1, 2]], [1, 'nan'], [1, float('nan')], [float('inf')], [True, 2], [None], True],
)
@pytest.mark.parametrize('name', ['mean', 'std'])
def test_what_is_no_value_of_a_channel_is_refused(name, given):
    kind = ' above 0' if name == 'std' else ''
    with pytest.raises(UserError) as caught:
        channel_values(name, given)
    assert str(caught.value) == (
        f'{name} is a number{kind} for each channel, on the scale of the files, e.g. {name}=(127.5,); found {given!r}: '
        'measure mean and std by python -m mae_transfer.data.statistics DATA --bands ...'
    )


@pytest.mark.parametrize('std', [0, -74, 0.0])
def test_a_deviation_is_above_0(std):
    with pytest.raises(UserError, match=f'; found {std} for channel 2: a band that has one value everywhere '):
        channel_values('std', (1.0, std))
    assert channel_values('mean', (1.0, std)) == (1.0, std)


@pytest.mark.parametrize('kind', [PhotoPreprocessor, DetPreprocessor, SegPreprocessor])
def test_preprocessors_take_what_a_command_line_gives(kind):
    preprocessor = kind(mean=117, std=58)
    assert preprocessor.mean.tolist() == [[[117.0]]] and preprocessor.std.tolist() == [[[58.0]]]
    for name in ('mean', 'std'):
        with pytest.raises(UserError, match=f'^{name} is a number'):
            kind(**{**dict(mean=1, std=1), name: None})
