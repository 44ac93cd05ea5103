"""The trainer: one loop, small pure files of mathematics, and what keeps a bake alive over crashes."""
