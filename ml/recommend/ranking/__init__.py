"""How candidates become an order: their blend, the ranker with its features, and the best of each row."""
