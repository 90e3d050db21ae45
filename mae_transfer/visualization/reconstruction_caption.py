"""What a picture of reconstructions shows, in lines of text: without them it looks better than the model is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..pretraining import MAE
    from ..pretraining.masking import Masking


def heading_of(masking: Masking, name: str | None = None) -> str:
    """Name and ratio of a masking, in two lines, e.g. 'random' and '75 %'."""
    return f'{name or type(masking).__name__}\n{percent(masking.ratio)}'


def percent(share: float) -> str:
    """A share of 0 to 1 in percent, e.g. '75 %'."""
    return f'{100 * share:.3g} %'


def caption_of(
    model: MAE, source: str, grid: tuple[int, int], paste: bool, maskings: Mapping[str, Masking] | None = None
) -> list[str]:
    """The lines below a picture of reconstructions.

    Args:
        source: where the weights are from.
        grid: (rows, columns) of the photos' patches.
        paste: whether kept patches are those of the photo.
        maskings: those that are drawn, where they are not the model's own.

    Returns:
        A line for the model, for what was masked, for the kept patches and for the predicted ones.
    """
    vit, total = model.vit, grid[0] * grid[1]
    size = f'ViT {vit.embed_dim} wide, {vit.depth} blocks, patches of {vit.patch_size} x {vit.patch_size} pixels'
    lines = [f'Model: MAE, {size}; {source}']
    named = f'{type(model.masking).__name__} at {percent(model.masking.ratio)}'
    if maskings is None:
        lines.append(f'Masking: {named}, {model.masking.num_kept(grid)} of {total} patches are seen')
    else:
        kept = ', '.join(str(masking.num_kept(grid)) for masking in maskings.values())
        lines.append(f'Above: what the encoder sees, {kept} of {total} patches; below: the reconstruction')
        lines.append(f'Masking in the config of the run: {named}')
    if paste:
        lines.append('Kept patches: pasted in from the photo; only hidden ones are predicted')
    elif model.loss_on == 'all':
        lines.append('Kept patches: predicted, too, not pasted in; the loss is on all patches')
    else:
        lines.append(
            'Kept patches: predicted, too, not pasted in; they have no loss, so they look worse than hidden ones'
        )
    return [*lines, f'Target: {model.target.pictured}']
