"""Is a pre-training learning, and when to stop: what is measured of the frozen ViT while it is trained, and advice."""
