"""The store's protocols by role; ``store/ports/store.py`` composes them."""
