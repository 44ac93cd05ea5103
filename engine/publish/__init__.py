"""Bringing finished epochs to where they are used: folders, the WebUIs' models, bundles, the Hugging Face hub."""
