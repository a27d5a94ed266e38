"""Validation shots that Blender Cycles renders, and what makes a dataset of them."""
