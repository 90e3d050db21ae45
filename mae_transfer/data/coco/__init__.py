"""COCO's format: boxes and masks, checked and read from an annotation file."""
