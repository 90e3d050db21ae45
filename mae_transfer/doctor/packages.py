"""The packages: those that are needed, the extras, and those that do harm."""

from __future__ import annotations

import importlib
import importlib.util
import platform
import sys
from collections.abc import Iterator
from configparser import ConfigParser
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from .finding import Finding, reason

TOPIC = 'packages'
PACKAGE = __name__.partition('.')[0]
#: The names that packages are imported by, where they are others than pip's.
MODULES = {
    'pillow': 'PIL',
    'opencv-python': 'cv2',
    'onedl-mmengine': 'mmengine',
    'onedl-mmcv': 'mmcv',
    'onedl-mmdetection': 'mmdet',
    'onedl-mmsegmentation': 'mmseg',
    'faster-coco-eval': 'faster_coco_eval',
    'scikit-learn': 'sklearn',
    'scikit-image': 'skimage',
    'myst-parser': 'myst_parser',
    'mlflow-skinny': 'mlflow',
}
#: {ours: OpenMMLab's originals, which have the same import names}
ORIGINALS = {
    'onedl-mmengine': ('mmengine', 'mmengine-lite'),
    'onedl-mmcv': ('mmcv', 'mmcv-full', 'mmcv-lite'),
    'onedl-mmdetection': ('mmdet',),
    'onedl-mmsegmentation': ('mmsegmentation',),
}
#: What the extras are for; 'tests' is for those who change the package.
EXTRAS = {
    'fast': 'average precision computed, and JPEGs decoded, faster than by pycocotools and OpenCV',
    'tiff': 'TIFFs with other compressions than deflate, where bands are numbered',
    'export': 'models as ONNX files',
    'track': 'figures of a run in TensorBoard, Weights & Biases or MLflow',
    'maps': 'a map of embeddings in two dimensions',
    'explore': 'a local page to play with a pre-training',
    'photos': 'real photos for tools/quickstart.sh --photos',
    'docs': 'the documents as a site',
}


def stated_requirements() -> tuple[str, list[Requirement], dict[str, list[Requirement]]]:
    """What the package states of itself: its Python, what it needs, and its extras by their names.

    In a checkout setup.cfg is read, otherwise what was installed.
    """
    setup = Path(__file__).resolve().parents[2] / 'setup.cfg'
    if setup.is_file():
        parser = ConfigParser()
        parser.read(setup, encoding='utf-8')
        extras = {name: _listed(text) for name, text in parser['options.extras_require'].items()}
        return parser['options']['python_requires'], _listed(parser['options']['install_requires']), extras
    stated, needed = metadata.metadata(PACKAGE), list[Requirement]()
    extras = {name: list[Requirement]() for name in stated.get_all('Provides-Extra') or ()}
    for requirement in map(Requirement, metadata.requires(PACKAGE) or ()):
        if requirement.marker is None:
            needed.append(requirement)
        for name, listed in extras.items():
            if requirement.marker is not None and requirement.marker.evaluate({'extra': name}):
                listed.append(requirement)
    return stated['Requires-Python'], needed, extras


def _listed(text: str) -> list[Requirement]:
    return [Requirement(line) for line in text.splitlines() if line.strip() and line.strip()[0] != '#']


def python() -> Iterator[Finding]:
    """This Python."""
    wanted, version = stated_requirements()[0], platform.python_version()
    if SpecifierSet(wanted).contains(version, prereleases=True):
        yield Finding(TOPIC, 'Python', 'ok', f'{version} ({sys.executable})', needed=True)
    else:
        advice = f'make an environment with Python {wanted}'
        yield Finding(TOPIC, 'Python', 'wrong', f'{version} ({sys.executable})', advice, needed=True)


def needed() -> Iterator[Finding]:
    """Each package that is needed: is it there, of which version, can it be imported?"""
    for requirement in stated_requirements()[1]:
        yield _imported(requirement)


def _imported(requirement: Requirement) -> Finding:
    name, wanted = requirement.name, str(requirement)
    version = installed_version(name)
    if version is None:
        return Finding(TOPIC, name, 'missing', 'not installed', f"pip install '{wanted}'", needed=True)
    if not requirement.specifier.contains(version, prereleases=True):
        return Finding(TOPIC, name, 'wrong', f'{version} is too old', f"pip install -U '{wanted}'", needed=True)
    try:
        importlib.import_module(MODULES.get(name, name))
    except Exception as error:
        other = (error.name or '').partition('.')[0] if isinstance(error, ModuleNotFoundError) else ''
        if other not in ('', MODULES.get(name, name)):
            advice = f'it needs {other}: install that first'
        else:
            advice = f"pip install --force-reinstall --no-deps '{wanted}'"
        return Finding(TOPIC, name, 'wrong', f'{version} cannot be imported, {reason(error)}', advice, needed=True)
    return Finding(TOPIC, name, 'ok', version, needed=True)


def installed_version(name: str) -> str | None:
    """The version of a package by pip's name for it; None if it is not installed."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def originals() -> Iterator[Finding]:
    """OpenMMLab's own packages beside the maintained line of them: both write the same files."""
    for ours, names in ORIGINALS.items():
        for name in names:
            if (version := installed_version(name)) is not None:
                yield Finding(
                    *(TOPIC, name, 'wrong', f'{version} has the files of {ours}, and one has overwritten the other'),
                    f'pip uninstall {name}, then pip install --force-reinstall --no-deps {ours}',
                    needed=True,
                )


def extras() -> Iterator[Finding]:
    """The packages that the package can do without."""
    for extra, requirements in stated_requirements()[2].items():
        if extra not in EXTRAS:
            continue
        missing = [one for one in requirements if importlib.util.find_spec(MODULES.get(one.name, one.name)) is None]
        name = f'extra {extra}'
        if missing:
            found = f'without {", ".join(one.name for one in missing)} ({EXTRAS[extra]})'
            advice = f"pip install '{PACKAGE}[{extra}]'"
            yield Finding(TOPIC, name, 'missing', found, advice)
        else:
            versions = ', '.join(f'{one.name} {installed_version(one.name) or "?"}' for one in requirements)
            yield Finding(TOPIC, name, 'ok', versions)
