"""What a user calls in Python: pre-training, fine-tuning, evaluation, on the packaged configs and MMEngine's runner."""
