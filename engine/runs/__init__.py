"""Runs on disk: their folders, the queue, the detached runner, and the state that a viewer is shown. Torch-free."""
