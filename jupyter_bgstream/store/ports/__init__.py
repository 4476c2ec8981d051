"""The store's protocols by role; ``store/base.py`` composes them."""
