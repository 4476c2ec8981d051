"""Text of ``%bg help``."""

from pathlib import Path

HELP = Path(__file__).with_suffix(".txt").read_text("utf-8").rstrip()
