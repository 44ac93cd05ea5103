"""The terminal side of LoRABake: commands, screens, keys, words. Knows no tensor and opens no dataset file."""
