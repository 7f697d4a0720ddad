"""Candidate generators, one a file, and the contract that all of them keep."""
