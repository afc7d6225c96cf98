"""Encoders, heads and the ways of tuning them."""
