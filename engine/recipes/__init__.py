"""Recipes of other trainers: reads sd-scripts, kohya_ss and lora-scripts into `BakeParams`, and writes sd-scripts.

Torch-free. Datasets in kohya's layout are `engine.dataset`'s business.
"""
