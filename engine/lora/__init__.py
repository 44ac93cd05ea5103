"""The LoRA itself: which modules it sits on, its injection, and its file in kohya's format."""
