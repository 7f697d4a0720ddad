"""Models of text: the pretrained encoder, the sentiment of reviews, and their aspects."""
