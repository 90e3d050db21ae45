"""``tools/quickstart.py --photos``: a pre-training on the few real photos that are inside of scikit-image's package.

Neither PyTorch nor scikit-image is imported: the photos are files beside its code, and nothing is downloaded.
"""

from __future__ import annotations

import sys
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from PIL import Image

from ..errors import UserError
from .steps import Stage, Step
from .tool_runs import package_file

#: Files of scikit-image 0.26.0. Those that are held out are whole photos, of which no crop is trained on.
VERSION = '0.26.0'
TRAINED = (
    *('astronaut.png', 'hubble_deep_field.jpg', 'ihc.png', 'motorcycle_left.png', 'motorcycle_right.png'),
    *('retina.jpg', 'brick.png', 'camera.png', 'coins.png', 'grass.png', 'gravel.png', 'moon.png'),
)
HELD_OUT = ('chelsea.png', 'coffee.png', 'rocket.jpg')
#: Masking ratios of the last picture.
RATIOS = '.5,.75,.9'


def photo_folder() -> Path:
    """The folder of the photos inside of scikit-image's package.

    Raises:
        UserError: scikit-image is not installed, or is a version without these photos.
    """
    spec = find_spec('skimage')
    if spec is None or not spec.submodule_search_locations:
        raise UserError(
            f'--photos takes the photos inside of scikit-image, which is not installed: {_install("scikit-image")}'
        )
    folder = Path(spec.submodule_search_locations[0]) / 'data'
    missing = [name for name in (*TRAINED, *HELD_OUT) if not (folder / name).is_file()]
    if missing:
        raise UserError(
            f'scikit-image {version("scikit-image")} has no {", ".join(missing)} inside: '
            f'{_install(f"scikit-image=={VERSION}")}'
        )
    return folder


def _install(package: str) -> str:
    return f'{sys.executable} -m pip install {package}'


def write_photos(source: Path, out: Path) -> None:
    """Write the photos as JPEGs, which are read faster, into ``train/`` and ``val/`` of a folder.

    Args:
        source: from :func:`photo_folder`.
    """
    for split, names in (('train', TRAINED), ('val', HELD_OUT)):
        (out / split).mkdir(parents=True, exist_ok=True)
        for name in names:
            with Image.open(source / name) as photo:
                photo.convert('RGB').save(out / split / f'{Path(name).stem}.jpg', quality=95, subsampling=0)


def photo_stages(work: Path, seed: int) -> list[Stage]:
    """The stages: pre-training, and a picture of the held-out photos at several masking ratios.

    Args:
        work: folder for the photos, the run and the pictures.
        seed: random seed of the training.
    """
    config, photos = package_file('configs', 'quickstart', 'mae_pretrain_photos.py'), f'data_root={work}/photos'
    train = [package_file('tools', 'train.py'), config, '--work-dir', str(work / 'mae')]
    train += ['--cfg-options', photos, f'randomness.seed={seed}']
    draw = [package_file('tools', 'reconstruct.py'), config, str(work / 'mae'), str(work / 'reconstructions.png')]
    draw += ['--ratios', RATIOS, '--cfg-options', photos]
    return [
        Stage(
            f'Pre-train a small MAE on crops of {len(TRAINED)} photos; pictures are of {len(HELD_OUT)} others',
            [[Step('MAE', train, 280, epochs=28, pictures=work / 'mae' / 'reconstructions')]],
        ),
        Stage('Draw the held-out photos at several masking ratios', [[Step('pictures', draw, 15)]]),
    ]


def photo_report(work: Path, stages: list[Stage], minutes: float) -> str:
    """What there is to look at, and how long it took.

    Args:
        work, stages: as of :func:`photo_stages`, after they ran.
        minutes: duration of all of it.
    """
    drawn = stages[0].steps[0].drawn
    first, last = next(iter(drawn)), list(drawn)[-1]
    return (
        f'First reconstruction, {drawn[first]:.0f} s after the start: {first}\n'
        f'Trained model, {drawn[last]:.0f} s after the start: {last}\n'
        f'At masking ratios of {RATIOS}, with a caption: {work}/reconstructions.png\n'
        f'{minutes:.1f} minutes. The photos are held out; {len(TRAINED)} photos are too few for features: '
        'pre-train on your own with mae-transfer pretrain.'
    )
