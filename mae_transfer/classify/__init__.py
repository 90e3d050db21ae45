"""Evaluation of a ViT by classification: fine-tuning, linear probing, partial fine-tuning, k-NN."""

from .classifier import ViTClassifier
from .fast_probe import FastProbeLoop
from .knn import KNNLoop
from .preprocessor import LabelledPreprocessor

__all__ = ['FastProbeLoop', 'KNNLoop', 'LabelledPreprocessor', 'ViTClassifier']
