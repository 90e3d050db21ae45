"""A local page to play with a trained ViT: reconstructions under any mask, attention, features as colours, nearest
photos. The functions know no page; only :mod:`~mae_transfer.exploring.page` imports gradio."""
