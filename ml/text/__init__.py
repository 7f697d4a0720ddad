"""Models of text: the pretrained encoder, and the sentiment of reviews."""
