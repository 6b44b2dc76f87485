"""A server with LitServe, which gathers requests into batches. MODEL names the model file.

MODEL=model.onnx python benchmarks/peers/batching.py PORT WORKERS
"""

import os
import sys
from typing import Any

import litserve
import numpy
import onnxruntime
from fastapi import Request

import mien


class Images(litserve.LitAPI):  # type: ignore[misc]
    """Decodes with mien, and answers batches; the workers share the cores."""

    def setup(self, device: str) -> None:
        """Load the model."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = max(1, (os.cpu_count() or 1) // int(sys.argv[2]))
        self.session = onnxruntime.InferenceSession(os.environ["MODEL"], options)
        self.classifier = mien.load(os.environ["MODEL"])

    def decode_request(self, request: Request) -> Any:
        """Turn what was sent into an image."""
        return self.classifier.prepare(request["file"].file.read()).by_name()

    def batch(self, inputs: list[Any]) -> Any:
        """Put images together."""
        names = [item.name for item in self.session.get_inputs()]
        return {name: numpy.concatenate([each[name] for each in inputs]) for name in names}

    def predict(self, arrays: Any) -> Any:
        """Answer them."""
        return self.session.run(["probs"], arrays)[0]

    def unbatch(self, output: Any) -> list[Any]:
        """Take the answers apart."""
        return list(output)

    def encode_response(self, output: Any) -> dict[str, float]:
        """Say how probable each class is."""
        return dict(zip(self.classifier.class_names, map(float, output), strict=True))


if __name__ == "__main__":
    api = Images(max_batch_size=8, batch_timeout=0.005)
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=int(sys.argv[2]))
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False)
