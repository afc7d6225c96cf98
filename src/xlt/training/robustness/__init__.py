"""Robust training: how a training step sees its input (Huang et al. 2021)."""
