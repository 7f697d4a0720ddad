"""How good lists are: metrics of accuracy and beyond it, for all customers and by segment."""
