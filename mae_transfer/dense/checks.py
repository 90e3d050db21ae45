"""What can be found wrong in the config of a segmentor before it is built."""

from __future__ import annotations

from mmengine.config import Config

from ..errors import UserError


def check_pooled_batch(cfg: Config, processes: int) -> None:
    """Refuse to train batch norm on a single value per channel, which PyTorch does in the middle of the first step.

    Heads with a pyramid of poolings (UperNet, PSPNet) normalise a map that is pooled to 1 x 1: an image gives one
    value.

    Args:
        processes: how many train together; SyncBN sees the images of all.

    Raises:
        UserError: one image only behind the statistics.
    """
    batch = (cfg.get('train_dataloader') or {}).get('batch_size')
    for name in ('decode_head', 'auxiliary_head'):
        heads = cfg.model.get(name) or []
        for head in heads if isinstance(heads, (list, tuple)) else [heads]:
            norm = ((head.get('norm_cfg') or {}).get('type') or '').rpartition('.')[2]
            pools = head.get('pool_scales') or (
                (1,) if head.get('type', '').rpartition('.')[2] in ('UPerHead', 'PSPHead') else ()
            )
            pooled = norm in ('BN', 'BN2d', 'SyncBN', 'MMSyncBN') and 1 in pools
            if pooled and batch == 1 and (processes == 1 or not norm.endswith('SyncBN')):
                raise UserError(
                    f'model.{name} normalises a map pooled to 1 x 1 by {norm}, which needs two images'
                    f'{"" if norm.endswith("SyncBN") else " in each process"}; found train_dataloader.batch_size=1: '
                    'choose 2 or more '
                    '(total_batch_size stays), or another norm, e.g. '
                    f"model.{name}.norm_cfg=\"{{'type': 'GN', 'num_groups': 32}}\""
                )


def check_windows(cfg: Config) -> None:
    """Refuse windows that cannot slide over an image.

    Raises:
        UserError: an unknown ``model.test_cfg.mode``; windows without size or step, or with gaps between them.
    """
    test_cfg = cfg.model.get('test_cfg') or {}
    if not isinstance(test_cfg, dict) or 'mode' not in test_cfg:
        return
    if test_cfg['mode'] not in ('slide', 'whole'):
        raise UserError(f"model.test_cfg.mode is 'slide' or 'whole'; found '{test_cfg['mode']}'")
    if test_cfg['mode'] == 'whole':
        return
    crop, stride = test_cfg.get('crop_size'), test_cfg.get('stride')
    pairs = all(isinstance(pair, (list, tuple)) and len(pair) == 2 for pair in (crop, stride))
    whole = pairs and all(isinstance(side, int) for side in (*crop, *stride))
    if not whole or any(not 1 <= step <= side for step, side in zip(stride, crop)):
        raise UserError(
            "model.test_cfg.mode='slide' needs a crop_size and a stride of (rows, columns) that is no larger, e.g. "
            f'crop_size=(512,512) stride=(341,341); found {crop} and {stride}'
        )
