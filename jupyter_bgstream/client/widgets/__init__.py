"""Widgets of jobs and batches."""
