"""What a product should cost."""
