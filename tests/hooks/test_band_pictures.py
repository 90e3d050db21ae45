"""Pictures of predictions: as the libraries draw them for 8-bit colours, on chosen bands otherwise."""

from types import SimpleNamespace
from unittest import mock

import numpy as np
import pytest
import torch
from mmcv.transforms import Compose, LoadImageFromFile
from mmdet.engine.hooks import DetVisualizationHook
from mmdet.structures import DetDataSample
from mmengine.structures import PixelData
from mmseg.engine.hooks import SegVisualizationHook
from mmseg.structures import SegDataSample
from mmseg.visualization import SegLocalVisualizer
from PIL import Image

from mae_transfer.data.files.load_bands import LoadBands
from mae_transfer.errors import UserError
from mae_transfer.hooks.detection_pictures import DetectionPictures
from mae_transfer.hooks.segmentation_pictures import SegmentationPictures
from mae_transfer.kinds import takes
from tests.data.written import npy, pillow, tiff, values

HOOKS = {
    'detection': (DetectionPictures, DetVisualizationHook),
    'segmentation': (SegmentationPictures, SegVisualizationHook),
}
SAMPLES = {'detection': DetDataSample, 'segmentation': SegDataSample}


def drawn(kind: str, hook_type: type, loader, path, val: bool = False, out=None, **settings) -> tuple:
    """How a hook calls the visualizer for an image, (picture's name, picture), {settings}; and the lines of the log."""
    if out is not None and kind == 'detection':
        settings['test_out_dir'] = str(out)
    visualizer = mock.Mock()
    with mock.patch('mmengine.visualization.Visualizer.get_current_instance', return_value=visualizer):
        hook = hook_type(draw=True, interval=1, **settings)
    dataset = SimpleNamespace(pipeline=Compose([loader]))
    loaders = SimpleNamespace(dataset=SimpleNamespace(datasets=[dataset]))
    runner = mock.Mock(val_dataloader=loaders, test_dataloader=loaders, iter=0, work_dir='.', timestamp='now')
    sample = SAMPLES[kind](metainfo=dict(img_path=str(path), img_shape=(19, 18)))
    (hook.after_val_iter if val else hook.after_test_iter)(runner, 0, {}, [sample])
    (call,) = visualizer.add_datasample.call_args_list
    return call.args, call.kwargs, [call.args[0] for call in runner.logger.info.call_args_list]


@pytest.mark.parametrize('val', [False, True])
@pytest.mark.parametrize('kind', HOOKS)
@pytest.mark.parametrize('loader', [LoadImageFromFile(), LoadBands('L')])
def test_8_bit_colours_are_drawn_as_by_the_library(loader, kind, val, tmp_path):
    path = pillow(tmp_path / 'a.png', values('uint8', 3), 'RGB')
    (own, settings, log), (theirs, expected, _) = (drawn(kind, hook, loader, path, val) for hook in HOOKS[kind])
    assert own[0] == theirs[0] and np.array_equal(own[1], theirs[1])
    settings, expected = ({k: v for k, v in s.items() if k != 'data_sample'} for s in (settings, expected))
    assert settings == expected and not log


@pytest.mark.parametrize('val', [False, True])
@pytest.mark.parametrize('kind', HOOKS)
@pytest.mark.parametrize('shown', [None, (13, 1, 5), 4])
def test_bands_are_stretched_and_said_in_the_log(shown, kind, val, tmp_path):
    array = values('uint16', 13)
    path = tiff(tmp_path / 'a.tif', array)
    loader = LoadBands(range(13, 0, -1))
    arguments, settings, (line,) = drawn(kind, HOOKS[kind][0], loader, path, val, tmp_path / 'out', bands_shown=shown)
    numbers = {None: (13, 12, 11), 4: (4,)}.get(shown, shown)
    picture = arguments[1]
    assert picture.shape == (19, 18, 3) and picture.dtype == np.uint8
    for channel in range(3):
        band = array[..., numbers[channel % len(numbers)] - 1].astype(float)
        black, white = np.percentile(band, (2, 98))
        np.testing.assert_allclose(
            picture[..., channel], ((band - black) / (white - black)).clip(0, 1) * 255, atol=0.51
        )
    assert line.startswith(f'picture of {path}: band') and f' {", ".join(map(str, numbers))}: black ' in line
    if kind == 'detection' and not val:
        assert settings['out_file'] == str(tmp_path / 'out' / 'a.png')


@pytest.mark.parametrize('kind', HOOKS)
def test_a_picture_lies_as_the_pipeline_reads_it(kind, tmp_path):
    """mmcv would turn it; boxes and maps of a pipeline that does not would lie wrong."""
    exif = Image.Exif()
    exif[0x0112] = 6
    path = pillow(tmp_path / 'a.jpg', values('uint8', 3), 'RGB', exif=exif)
    for loader, shape in (
        (LoadImageFromFile(color_type='color_ignore_orientation'), (19, 18, 3)),
        (LoadImageFromFile(), (18, 19, 3)),
        (LoadBands((1, 2, 3)), (18, 19, 3)),
        (LoadBands((1, 2, 3), exif_orientation=False), (19, 18, 3)),
    ):
        arguments, _, _ = drawn(kind, HOOKS[kind][0], loader, path)
        assert arguments[1].shape == shape


@pytest.mark.parametrize('kind', HOOKS)
def test_bands_that_the_model_does_not_see_are_refused(kind, tmp_path):
    path = npy(tmp_path / 'a.npy', values('float32', 4))
    with pytest.raises(UserError, match=r'^bands_shown is one or three of bands=\(1, 2\)'):
        drawn(kind, HOOKS[kind][0], LoadBands((1, 2)), path, bands_shown=(3,))


def test_nothing_is_drawn_unless_it_is_asked_for():
    for own, theirs in HOOKS.values():
        with mock.patch('mmengine.visualization.Visualizer.get_current_instance'):
            hook = own()
        runner = mock.Mock()
        for call in (hook.after_val_iter, hook.after_test_iter):
            call(runner, 0, {}, [None])
        assert not runner.logger.info.called
        assert takes(own, 'test_out_dir') == takes(theirs, 'test_out_dir')


def test_a_label_map_fits_the_picture(tmp_path):
    """The visualizer of MMSegmentation, on 13 bands."""
    path = npy(tmp_path / 'a.npy', values('float32', 13, (40, 30)))
    arguments, _, _ = drawn('segmentation', SegmentationPictures, LoadBands(range(1, 14)), path)
    visualizer = SegLocalVisualizer(vis_backends=None)
    visualizer.dataset_meta = dict(classes=('a', 'b'), palette=[[255, 0, 0], [0, 255, 0]])
    sample = SegDataSample(pred_sem_seg=PixelData(data=torch.ones(1, 40, 30, dtype=torch.int64)))
    visualizer.add_datasample('a', arguments[1], sample, draw_gt=False, out_file=str(tmp_path / 'a.png'))
    assert Image.open(tmp_path / 'a.png').size == (30, 40)
