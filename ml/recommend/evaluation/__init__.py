"""How good lists are: metrics of accuracy and beyond accuracy, for all customers and by segment."""
