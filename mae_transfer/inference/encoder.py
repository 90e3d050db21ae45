"""A ViT that turns each image into one vector: the class token, or the mean of the patches."""

from __future__ import annotations

from typing import Any

from mmengine.model import BaseModel
from torch import Tensor, nn

from ..classify import ViTClassifier
from ..data.files.bands import Bands, resolve_bands
from ..errors import UserError
from ..paths import shown
from ..pretraining.preprocessor import PhotoPreprocessor
from ..vit import ViT
from .bare_vit import BareViT
from .seen_images import seen_images
from .trained import Trained

#: How the tokens become one vector.
POOLS = ('patches', 'class')


class Encoder(BaseModel):
    """Images -> ViT -> one vector each, float32.

    'class': the class token after the final norm of the ViT. 'patches': the mean of all patches, each after the final
    norm; of a model that was fine-tuned on the mean of the patches, which has ``fc_norm`` in place of the final norm,
    the mean, and then ``fc_norm``: what its head sees. The ViT of a detector or segmentor has neither norm: the mean of
    the patches as its last block gives them. Registers count for nothing.

    Args:
        vit: with its weights.
        pool: one of :data:`POOLS`.
        mean, std: of the images' channels, on the scale of the files.
        bands: which bands of image files it sees.
        fc_norm: see above; None for none.
        source: what messages call the model.

    Raises:
        UserError: an unknown ``pool``; the class token of a ViT that has none, or that has no norm for it.
    """

    def __init__(
        self,
        vit: ViT,
        pool: str,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        bands: Bands,
        fc_norm: nn.Module | None = None,
        source: str = '',
    ) -> None:
        check_pool(pool)
        has_norm = not isinstance(vit.norm, nn.Identity)
        if pool == 'class' and not vit.num_prefix:
            raise UserError(f"{shown(source)} has no class token: choose pool='patches'")
        if pool == 'class' and not has_norm:
            raise UserError(
                f'the class token of {shown(source)} was not trained: the model has no final norm, as one that sees '
                "the patches alone; choose pool='patches'"
            )
        super().__init__(PhotoPreprocessor(mean, std))
        self.vit, self.pool, self.fc_norm = vit, pool, nn.Identity() if fc_norm is None else fc_norm
        self.bands, self.source = resolve_bands(bands), source
        self.norm = 'fc_norm of the mean' if fc_norm is not None and pool == 'patches' else 'none'
        if has_norm:
            self.norm = 'final norm of each token'

    def features(self, images: Tensor) -> Tensor:
        """One vector (B, D) for each of the normalised images (B, C, H, W)."""
        tokens = self.vit.tokens(images)
        if self.pool == 'class':
            return tokens[:, 0].float()
        return self.fc_norm(tokens[:, self.vit.num_prefix :].float().mean(1))

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        """Only :meth:`features` is used."""
        raise NotImplementedError

    @property
    def image_size(self) -> tuple[int, int]:
        """(height, width) of the images that the ViT's positions are for."""
        rows, columns = self.vit.grid
        return rows * self.vit.patch_size, columns * self.vit.patch_size

    def described(self) -> dict[str, Any]:
        """What its vectors depend on beside weights and images, as plain values."""
        mean, std = map(_plain, (self.data_preprocessor.mean, self.data_preprocessor.std))
        return dict(pool=self.pool, norm=self.norm, bands=self.bands, mean=mean, std=std)


def _plain(values: Tensor) -> list[float]:
    """Numbers of float32 as they were written, not as float64 shows them."""
    return [float(f'{value:.7g}') for value in values.flatten().tolist()]


def check_pool(pool: str) -> None:
    """Refuse what is no way to make one vector of tokens; raises ``UserError``."""
    if pool not in POOLS:
        raise UserError(f'pool is {" or ".join(map(repr, POOLS))}; found {pool!r}')


def encoder_of_bare(bare: BareViT, pool: str) -> Encoder:
    """The encoder of a ViT without a run."""
    return Encoder(bare.vit, pool, bare.mean, bare.std, bare.bands, bare.fc_norm, bare.source).eval()


def encoder_of_trained(trained: Trained, pool: str) -> Encoder:
    """The encoder of a run's ViT, which stays where it is; raises ``UserError`` as :class:`Encoder`."""
    model, vit = trained.model, trained.vit
    seen = seen_images(model, trained.cfg, vit.in_channels, trained.source)
    if seen.reads_bgr:
        raise UserError(
            f'{shown(trained.source)} was trained on BGR, as OpenCV reads images (bgr_to_rgb is off): embed by a model '
            'of RGB'
        )
    fc_norm = model.fc_norm if isinstance(model, ViTClassifier) and model.pooling == 'patch_mean' else None
    return Encoder(vit, pool, seen.mean, seen.std, seen.bands, fc_norm, trained.source).eval()
