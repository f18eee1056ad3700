"""The trained models on ONNX Runtime; neither torch nor Dagster."""
