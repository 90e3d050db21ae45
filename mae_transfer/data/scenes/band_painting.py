"""Paint one made-up satellite scene: parcels of land in thirteen bands, with the class of every pixel.

Two pairs of classes are the same in visible light: meadow and artificial turf differ in the near infrared, snow and
cloud in the short-wave infrared. Which one a parcel shows is decided last, by the toss of a coin that no visible band
depends on. So nothing in bands 1 to 4 tells them apart: not a colour, a texture, a shape or a neighbour.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import cv2
import numpy as np

from .drawing import rotate

#: Sentinel-2's bands in the order of the file: band number 1 is B01. RGB is (4, 3, 2).
BANDS = ('B01', 'B02', 'B03', 'B04', 'B05', 'B06', 'B07', 'B08', 'B8A', 'B09', 'B10', 'B11', 'B12')
#: Their centres, in nm.
_WAVELENGTHS = np.array([443, 490, 560, 665, 705, 740, 783, 842, 865, 945, 1375, 1610, 2190], np.float32)
_VISIBLE = 4  # bands, the first ones
#: The reflectance of each class in each band. The number of a class in a label map is 1 + its place here.
_SPECTRA = {
    'water': (0.070, 0.065, 0.060, 0.035, 0.030, 0.024, 0.022, 0.020, 0.018, 0.014, 0.002, 0.010, 0.008),
    'bare soil': (0.090, 0.110, 0.150, 0.200, 0.220, 0.240, 0.260, 0.280, 0.300, 0.260, 0.004, 0.380, 0.330),
    'forest': (0.030, 0.032, 0.048, 0.030, 0.065, 0.180, 0.220, 0.240, 0.260, 0.210, 0.002, 0.130, 0.065),
    'meadow': (0.042, 0.052, 0.088, 0.062, 0.115, 0.240, 0.290, 0.310, 0.325, 0.270, 0.003, 0.230, 0.130),
    'artificial turf': (0.042, 0.052, 0.088, 0.062, 0.085, 0.120, 0.150, 0.170, 0.180, 0.160, 0.003, 0.210, 0.160),
    'snow': (0.600, 0.620, 0.610, 0.600, 0.590, 0.580, 0.565, 0.550, 0.520, 0.380, 0.008, 0.100, 0.080),
    'cloud': (0.600, 0.620, 0.610, 0.600, 0.595, 0.590, 0.580, 0.575, 0.565, 0.450, 0.040, 0.400, 0.300),
}
BAND_CLASSES = tuple(_SPECTRA)
#: Numbers of classes that look the same: the first stands for both until the coin is tossed.
TWINS = ((4, 5), (6, 7))
BAND_PALETTE = [[50, 90, 190], [190, 140, 90], [20, 90, 40], [110, 190, 80], [230, 90, 160], [230, 240, 255], [150] * 3]
_LOOKS = (1, 2, 3, 4, 6)
#: How bright and dark spots of a class are: their sizes along and across in pixels, and their strength.
_TEXTURES = {1: (5.0, 0.8, 0.10), 2: (8.0, 0.7, 0.15), 3: (1.0, 1.0, 0.30), 4: (2.5, 2.5, 0.12), 6: (5.0, 5.0, 0.10)}
_SCALE = 10000  # numbers in the file per unit of reflectance
MIN_SIZE = 32  # pixels


class BandScene(NamedTuple):
    """A painted scene.

    Attributes:
        image: uint16 (H, W, 13), reflectance x 10 000.
        labels: uint8 (H, W), 1 + index into :data:`BAND_CLASSES`; 0 along the edges of parcels, where pixels are mixed.
    """

    image: np.ndarray
    labels: np.ndarray


def paint_band_scene(rng: np.random.Generator, size: int = 64, swapped: bool = False) -> BandScene:
    """Paint a square scene of ``size`` x ``size`` pixels with four to eight parcels.

    Args:
        swapped: show, in every parcel of a class that has a twin, the twin instead: the visible bands stay the same,
            bit by bit.

    Raises:
        ValueError: ``size`` is below 32.
    """
    if size < MIN_SIZE:
        raise ValueError(f'size is {size} pixels; a scene needs at least {MIN_SIZE}')
    parcels, edges = _parcels(rng, size)
    looks = rng.choice(_LOOKS, parcels.max() + 1)
    variations = [_variation(rng, size, look) for look in looks]
    light = _light(rng, size) * np.ones((len(BANDS), 1, 1), np.float32)
    # Air scatters blue light most.
    haze = rng.uniform(0, 0.03) * (_WAVELENGTHS / _WAVELENGTHS[0]) ** -4
    noise = rng.standard_normal((len(BANDS), size, size), np.float32)

    # From here on nothing is drawn but the coins.
    twin_of = {one: other for pair in TWINS for one, other in (pair, pair[::-1])}
    classes = [int(look) if rng.random() < 0.5 else twin_of.get(int(look), int(look)) for look in looks]
    if swapped:
        classes = [twin_of.get(number, number) for number in classes]
    spectra = np.array(list(_SPECTRA.values()), np.float32)
    image = np.zeros((len(BANDS), size, size), np.float32)
    for index, (number, variation) in enumerate(zip(classes, variations)):
        image += np.where(parcels == index, spectra[number - 1, :, None, None] * variation, 0)
    image = image * light
    image = np.stack([cv2.GaussianBlur(band, (0, 0), 0.6) for band in image])  # the optics, which mix neighbours
    image = image + haze[:, None, None]
    image = image + (0.002 + 0.02 * image) * noise
    pixels = np.clip(image * _SCALE + 0.5, 0, np.iinfo(np.uint16).max).astype(np.uint16)
    labels = np.where(edges, 0, np.array(classes, np.uint8)[parcels]).astype(np.uint8)
    return BandScene(np.ascontiguousarray(pixels.transpose(1, 2, 0)), labels)


def _parcels(rng: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray]:
    """The parcel of each pixel (H, W), and whether it is at an edge: the nearest of some points, with a wobble."""
    points = rng.uniform(0, size, (rng.integers(4, 9), 2)).astype(np.float32)
    yy, xx = np.mgrid[:size, :size].astype(np.float32)
    yy, xx = yy + 3 * _smooth(rng, size, 4), xx + 3 * _smooth(rng, size, 4)
    distances = np.hypot(yy - points[:, :1, None], xx - points[:, 1:, None])
    nearest, second = np.sort(distances, axis=0)[:2]
    return distances.argmin(0), second - nearest < 2


def _variation(rng: np.random.Generator, size: int, look: int) -> np.ndarray:
    """What a parcel's spectrum is multiplied by, (13, H, W): its brightness, a tilt over the bands, its texture."""
    along, across, strength = _TEXTURES[look]
    tilt = rng.normal(0, 0.08) * np.linspace(-1, 1, len(BANDS), dtype=np.float32)
    spectrum = np.exp(rng.normal(0, 0.15) + tilt).astype(np.float32)
    spots = _grain(rng, size, along, across)
    return spectrum[:, None, None] * np.exp(strength * spots)


def _light(rng: np.random.Generator, size: int) -> np.ndarray:
    """Illumination (H, W): a slope, and shades of hills."""
    yy, xx = np.mgrid[:size, :size].astype(np.float32) / size - 0.5
    slope, _ = rotate(yy, xx, rng.uniform(0, 2 * math.pi))
    return rng.uniform(0.8, 1.1) * np.exp(0.25 * slope + 0.08 * _smooth(rng, size, size / 8)).astype(np.float32)


def _smooth(rng: np.random.Generator, size: int, sigma: float) -> np.ndarray:
    """Smooth noise (H, W) of mean 0 and deviation 1."""
    noise = cv2.GaussianBlur(rng.standard_normal((size, size), np.float32), (0, 0), sigma)
    return (noise - noise.mean()) / noise.std()


def _grain(rng: np.random.Generator, size: int, along: float, across: float) -> np.ndarray:
    """Noise (H, W) of deviation 1 with spots of this size, in pixels, in a random direction."""
    reach = math.ceil(2 * max(along, across))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1].astype(np.float32)
    y, x = rotate(y, x, rng.uniform(0, math.pi))
    spot = np.exp(-0.5 * ((x / along) ** 2 + (y / across) ** 2)).astype(np.float32)
    return cv2.filter2D(rng.standard_normal((size, size), np.float32), -1, spot / np.linalg.norm(spot))
