"""Tensors in, scores out."""
