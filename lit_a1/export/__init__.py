"""Trained networks for other programs: ONNX and safetensors with a model card, and predictions from ONNX alone."""
