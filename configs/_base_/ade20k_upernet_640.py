"""ade20k_upernet.py with crops of 640: BEiT's variant, which gives its best numbers.

Source: BEiT (semantic_segmentation/, ..._640_slide_160k_...): images resized to (2560, 640), windows of 640 every 426
pixels, no other change for ViT-B. BEiT's ViT-L has one image on each of 8 GPUs, accumulates two batches, and counts
each as an iteration: its "320k" iterations are 160k optimiser steps of 16 images, and its warm-up of 3000 iterations is
1500 steps. Here iterations are optimiser steps, so schedule and warm-up are as for 512, on any number of GPUs.
BatchNorm uses the images that all GPUs process at once: 16 on 8 GPUs with 2 images each, 8 in BEiT's ViT-L. On a single
GPU train_dataloader.batch_size must be 2 or more.
"""

_base_ = './ade20k_upernet.py'

crop_size = (640, 640)
