"""Trained models in the files that other programs read: ONNX, and folders of timm and transformers."""
