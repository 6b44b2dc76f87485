"""A server as one who knows FastAPI well writes it: its own threads, and mien's decoder. MODEL names the model file.

MODEL=model.onnx uvicorn --app-dir benchmarks/peers decoder:app
"""

import os

import numpy
import onnxruntime
from fastapi import FastAPI, UploadFile

import mien

app = FastAPI()
session = onnxruntime.InferenceSession(os.environ["MODEL"])
classifier = mien.load(os.environ["MODEL"])


@app.post("/predict")
def predict(file: UploadFile) -> dict[str, float]:
    """Say how probable each class is."""
    arrays = classifier.prepare(file.file.read()).by_name()
    (probs,) = session.run(["probs"], {item.name: arrays[item.name] for item in session.get_inputs()})
    return dict(zip(classifier.class_names, numpy.asarray(probs)[0].tolist(), strict=True))
