#!/usr/bin/env python
"""Judge a checkpoint: reconstruction loss of an MAE, box and mask AP on COCO, mIoU, mAcc and aAcc on ADE20K."""
import argparse

from mae_transfer import launch
from mae_transfer.compat import distributed
from mae_transfer.vit.checkpoint import find_checkpoint


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    launch.common_arguments(parser)
    parser.add_argument('checkpoint', help='checkpoint of the whole model, or the work_dir of its run')
    parser.add_argument('--show-dir', metavar='DIR', help='write predictions beside the truth as pictures')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    cfg = launch.load_config(args)
    launch.check_sizes(cfg, 'test_dataloader')
    launch.check_data(cfg, 'test_dataloader')
    cfg.load_from = str(find_checkpoint(args.checkpoint))
    cfg.resume = False
    if args.show_dir:
        launch.draw_predictions(cfg, args.show_dir)
    distributed.start_group(args.launcher)
    launch.build_runner(cfg, complete=True).test()


if __name__ == '__main__':
    launch.run_main(main)
