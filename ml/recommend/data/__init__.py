"""The shop as arrays: the catalogue, customers and their histories, and holdouts with known answers."""
