"""A folder of images and captions as a bake sees it: rows, tags, buckets, the plan, pixels.

Needs Pillow and numpy only, both imported where pixels are touched. Runs, models and presets are left to others.
"""
