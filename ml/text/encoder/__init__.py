"""The pretrained text encoder: how it is loaded, its vectors, and the classifier that is trained on it."""
