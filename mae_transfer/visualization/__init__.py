"""Pictures of reconstructions, predictions and confusion matrices, and plots of ablations."""
