"""The classifier: one ONNX file, its predictions, and where it looked."""
