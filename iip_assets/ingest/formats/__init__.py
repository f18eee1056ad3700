"""Batches in the forms of labeling tools, brought into the native one."""
