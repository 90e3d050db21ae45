"""Models as they are in an ONNX file: from the values of image files to named outputs, normalisation inside."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..classify import ViTClassifier
from ..errors import UserError
from ..paths import shown
from ..vit import ViT
from .source import Source

#: What a classifier and a segmentor can give, beside the ViT's features.
OUTPUTS = ('logits', 'probabilities', 'labels')


class Graph(nn.Module):
    """Images (B, C, H, W), with the values of the files, to a tuple of outputs.

    Args:
        source: what is exported; it stays as it is.

    Attributes:
        names: of the outputs.
        axes: for each output the names of its axes that are of any length, by their numbers.
        multiple: sides of images are multiples of it; 1 for any.
        unit: sides at the ViT are multiples of it.
    """

    names: tuple[str, ...]
    axes: dict[str, dict[int, str]]
    finish: Callable[[Tensor], Tensor]

    def __init__(self, source: Source):
        super().__init__()
        self.model: Any = with_traceable_layers(source.model)
        self.reads_bgr = source.reads_bgr
        self.vit_patch = source.vit.patch_size
        self.multiple = self.unit = self.vit_patch
        for name in ('mean', 'std'):
            self.register_buffer(name, torch.tensor(getattr(source, name)).view(-1, 1, 1))
        self.mean: Tensor
        self.std: Tensor

    def normalised(self, images: Tensor) -> Tensor:
        """Images as the model takes them, in its order of channels."""
        images = images.flip(1) if self.reads_bgr else images
        return (images.float() - self.mean) / self.std

    def whole_patches(self, images: Tensor) -> Tensor:
        """The same images. In a file, where Python's checks are gone, sides that are no multiples fail here: the
        convolution would leave out what is beyond the last whole patch."""
        batch, channels, height, width = images.shape
        size = self.multiple
        patches = images.reshape(batch, channels, height // size, size, width // size, size)
        return patches.reshape(batch, channels, height // size * size, width // size * size)


class FeatureGraph(Graph):
    """A ViT: its class token (B, D), if it has one, and its patches (B, N, D), row by row, after the final norm."""

    def __init__(self, source: Source):
        super().__init__(source.only_vit())
        self.names = ('class_token', 'patches') if source.vit.num_prefix else ('patches',)
        self.axes = dict(class_token={}, patches={1: 'patch'})

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        vit = self.model
        tokens = vit.tokens(self.whole_patches(self.normalised(images)))
        patches = tokens[:, vit.num_prefix :]
        return (tokens[:, 0], patches) if vit.num_prefix else (patches,)


class ClassifierGraph(Graph):
    """A classifier: logits or probabilities (B, classes), or labels (B)."""

    def __init__(self, source: Source, output: str):
        super().__init__(source)
        self.names, self.axes, self.finish = (output,), {output: {}}, finish(output)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        return (self.finish(self.model(self.whole_patches(self.normalised(images)), mode='tensor')),)


class SegmentorGraph(Graph):
    """A segmentor: logits or probabilities (B, classes, H, W), or a label map (B, H, W), for images of any size.

    The image is seen whole; in tests, most recipes slide a window over images that are larger than their crop.
    """

    def __init__(self, source: Source, output: str):
        super().__init__(source)
        self.multiple, self.unit = 1, self.model.stride
        self.threshold: float = self.model.decode_head.threshold
        self.names, self.finish = (output,), finish(output, self.threshold)
        self.axes = {output: {1: 'height', 2: 'width'} if output == 'labels' else {2: 'height', 3: 'width'}}

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        # As AnySizeSegmentor.encode_decode; what MMSegmentation passes on as img_shape would be taken for a constant.
        images = self.normalised(images)
        height, width = images.shape[2:]
        below, right = -height % self.unit, -width % self.unit
        head = self.model.decode_head
        logits = head(self.model.extract_feat(F.pad(images, (0, right, 0, below))))
        whole = (height + below, width + right)
        logits = F.interpolate(logits, size=whole, mode='bilinear', align_corners=head.align_corners)
        return (self.finish(logits[..., :height, :width]),)


def finish(output: str, threshold: float | None = None) -> Callable[[Tensor], Tensor]:
    """From logits (B, classes, ...) to an output of :data:`OUTPUTS`.

    Args:
        threshold: of the probability of a segmentor's only class.
    """

    def finished(logits: Tensor) -> Tensor:
        if output == 'logits':
            return logits
        if logits.shape[1] == 1 and threshold is not None:
            probabilities = logits.sigmoid()
            return probabilities if output == 'probabilities' else (probabilities[:, 0] > threshold).long()
        return logits.softmax(1) if output == 'probabilities' else logits.argmax(1)

    return finished


def graph_of(source: Source, output: str | None = None) -> Graph:
    """The graph of a ViT, a classifier or a segmentor.

    Args:
        output: one of :data:`OUTPUTS`; None: logits. A ViT has its own outputs.

    Raises:
        UserError: another model; an output that it does not have.
    """
    model, who = source.model, shown(source.name)
    if output is not None and output not in OUTPUTS:
        raise UserError(f"output is one of {', '.join(OUTPUTS)}; found '{output}'")
    if isinstance(model, ViT) or (isinstance(model, ViTClassifier) and not model.num_classes):
        if output is not None:
            raise UserError(f"{who} is a ViT alone, which gives its features: leave out output='{output}'")
        return FeatureGraph(source)
    if isinstance(model, ViTClassifier):
        return ClassifierGraph(source, output or 'logits')
    from ..dense.segmentor import AnySizeSegmentor  # MMSegmentation takes seconds to import

    if isinstance(model, AnySizeSegmentor):
        return SegmentorGraph(source, output or 'logits')
    raise UserError(
        f'{who}: {type(model).__name__} is not exported to ONNX, only ViTs, classifiers and AnySizeSegmentors: '
        "its ViT alone is, by part='vit'"
    )


class TraceablePool(nn.Module):
    """``nn.AdaptiveAvgPool2d`` as two matrix products: ONNX has it for images of one size only."""

    def __init__(self, size: Any):
        super().__init__()
        self.size = (size, size) if isinstance(size, int) else tuple(size)

    def forward(self, x: Tensor) -> Tensor:
        rows, columns = (_shares(count, side, x) for count, side in zip(self.size, x.shape[2:]))
        return rows @ x @ columns.transpose(0, 1)


def _shares(count: int, side: int, like: Tensor) -> Tensor:
    """(count, side): which share of each bin each place has; PyTorch's bins, which overlap."""
    numbers = torch.arange(count, device=like.device)
    starts, ends = numbers * side // count, ((numbers + 1) * side + count - 1) // count
    places = torch.arange(side, device=like.device)
    inside = (places >= starts[:, None]) & (places < ends[:, None])
    return inside.to(like.dtype) / (ends - starts)[:, None]


class FixedNorm(nn.Module):
    """A ``nn.BatchNorm1d`` without affine parameters, in evaluation: a linear probe's, whose number of channels the
    exporter does not see."""

    def __init__(self, norm: nn.BatchNorm1d):
        super().__init__()
        assert norm.running_mean is not None and norm.running_var is not None and not norm.affine
        self.register_buffer('mean', norm.running_mean)
        self.register_buffer('scale', (norm.running_var + norm.eps).rsqrt())
        self.mean: Tensor
        self.scale: Tensor

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) * self.scale


def with_traceable_layers(model: nn.Module) -> nn.Module:
    """A model with :class:`TraceablePool` for ``nn.AdaptiveAvgPool2d``, and :class:`FixedNorm` for the batch norm of a
    linear probe: a copy where it has one, else the model itself."""
    if not any(isinstance(module, (nn.AdaptiveAvgPool2d, nn.BatchNorm1d)) for module in model.modules()):
        return model
    model = deepcopy(model)
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.AdaptiveAvgPool2d):
                setattr(module, name, TraceablePool(child.output_size))
            elif isinstance(child, nn.BatchNorm1d) and not child.affine:
                setattr(module, name, FixedNorm(child))
    return model
