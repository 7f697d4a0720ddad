"""The lists of a night: rules, categories, similar products, exploration, diversity and reasons."""
