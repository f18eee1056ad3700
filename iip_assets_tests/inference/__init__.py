"""Tests of the models on ONNX Runtime."""
