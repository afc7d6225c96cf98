"""Readers for the official file formats, and batching of what they read."""
