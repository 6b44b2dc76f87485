"""The classifier: one ONNX file; ask it, and see where it looked."""
