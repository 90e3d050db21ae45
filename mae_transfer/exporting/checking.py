"""Does an ONNX file give what our model gives? On images of several sizes and batches."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..classify import ViTClassifier
from ..progress import progress
from .graphs import FeatureGraph, Graph, SegmentorGraph
from .source import Source

#: The largest difference, relative to the largest of our values.
TOLERANCE = 1e-4
#: Height and width relative to the images of the training, and how many images.
_SHAPES = ((1.0, 1.0, 2), (0.5, 0.75, 1), (0.75, 0.5, 3), (0.4, 1.0, 1), (1.25, 0.6, 2))


@dataclass(frozen=True)
class Check:
    """What was compared.

    Attributes:
        words: on what, for a message.
        difference: the largest.
        worst: the size of the images on which it was found.
    """

    words: str
    difference: float
    worst: str


def check_file(path: Path, graph: Graph, source: Source, size: tuple[int, int] | None) -> Check:
    """Compare an ONNX file with the model that it was made of, by onnxruntime on the CPU.

    Args:
        size: the only one of the images; None: any.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # its errors are raised anyway
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(str(path), options, providers=['CPUExecutionProvider'])
    generator = torch.Generator().manual_seed(0)
    differences: dict[str, float] = {}
    for batch, height, width in progress(image_shapes(graph, source, size), 'file compared, sizes of images'):
        images = random_images(source, (batch, height, width), generator)
        found = session.run(list(graph.names), {'images': images.numpy()})
        with torch.no_grad():
            expected = our_outputs(source, graph, images)
        differences[f'{height} x {width}'] = max(
            difference(graph, torch.from_numpy(np.asarray(one)), other) for one, other in zip(found, expected)
        )
    worst = max(differences, key=lambda shape: _at_end(differences[shape]))
    count = len(differences)
    words = f'compared on images of {count} sizes' if count > 1 else f'compared on images of {worst}'
    return Check(words, differences[worst], worst)


def image_shapes(graph: Graph, source: Source, size: tuple[int, int] | None) -> list[tuple[int, int, int]]:
    """(batch, height, width) of the images to compare on."""
    if size is not None:
        return [(1, *size), (3, *size)]
    shapes = []
    for down, across, batch in _SHAPES:
        sides = [
            max(1, round(side * share / graph.vit_patch)) * graph.vit_patch
            for side, share in zip(source.img_size, (down, across))
        ]
        if graph.multiple == 1 and (down, across) != (1, 1):  # any sides: odd ones
            sides = [max(1, sides[0] - 3), max(1, sides[1] - 5)]
        shapes.append((batch, sides[0], sides[1]))
    return shapes


def random_images(source: Source, shape: tuple[int, int, int], generator: torch.Generator) -> Tensor:
    """Images (batch, C, height, width) of noise, coarse and fine, with the values of files."""
    batch, height, width = shape
    channels = source.vit.in_channels
    coarse = torch.rand(batch, channels, 4, 4, generator=generator)
    noise = torch.nn.functional.interpolate(coarse, (height, width), mode='bilinear')
    noise = (noise + 0.2 * torch.rand(batch, channels, height, width, generator=generator)) / 1.2
    if source.is_of_8_bits:
        return (noise * 255).to(torch.uint8)
    mean, std = (torch.tensor(values).view(-1, 1, 1) for values in (source.mean, source.std))
    return mean + std * (noise - 0.5) * 4


def our_outputs(source: Source, graph: Graph, images: Tensor) -> tuple[Tensor, ...]:
    """What our model gives, by the methods that training and testing call; logits for a segmentor's or classifier's
    labels."""
    images = graph.normalised(images)
    if isinstance(graph, FeatureGraph):
        tokens, first = source.vit.tokens(images), source.vit.num_prefix
        return (tokens[:, 0], tokens[:, first:]) if first else (tokens,)
    model: Any = source.model
    if isinstance(model, ViTClassifier):
        logits = model(images, mode='tensor')
    else:
        logits = model.encode_decode(images, [dict(ori_shape=images.shape[2:])])
    return (logits if graph.names[0] == 'labels' else graph.finish(logits),)


def difference(graph: Graph, found: Tensor, expected: Tensor) -> float:
    """The largest difference, relative to the largest of the expected values, or to 1 if that is smaller.

    Of labels: by how much the logit of the label that was found is below the largest one.
    """
    if graph.names[0] == 'labels':
        if expected.shape[1] == 1 and isinstance(graph, SegmentorGraph):
            return _wrong_sides(graph, found, expected)
        if found.shape != expected[:, 0].shape:
            return float('inf')
        gap = expected.amax(1) - expected.gather(1, found[:, None])[:, 0]
    elif found.shape != expected.shape:
        return float('inf')
    else:
        gap = (found - expected).abs()
    return float(gap.max() / max(1.0, float(expected.abs().max())))


def _wrong_sides(graph: SegmentorGraph, found: Tensor, logits: Tensor) -> float:
    """Of the labels of a segmentor's only class: how far the probability of a wrong one is from the threshold."""
    gap = logits[:, 0].sigmoid() - graph.threshold
    return float((gap.abs() * (found != (gap > 0))).max())


def _at_end(value: float) -> float:
    return float('inf') if value != value else value
