"""Pictures on demand: prompts as people write them, samplers, LoRA files laid onto a warm base model, grids."""
