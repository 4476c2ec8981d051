"""Outputs in a notebook file: the MIME bundles of jobs and batches, and the Markdown in them."""
