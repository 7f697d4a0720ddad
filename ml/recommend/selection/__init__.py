"""What validation days decide: the blend, the ranker, variety, and the backtests that this is decided on."""
