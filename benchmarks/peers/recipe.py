"""A server as tutorials write it: FastAPI, and the recipe of mien's model card. MODEL names the model file.

MODEL=model.onnx uvicorn --app-dir benchmarks/peers recipe:app
"""

import json
import os

import numpy
import onnxruntime
import PIL.Image
from fastapi import FastAPI, UploadFile

app = FastAPI()
session = onnxruntime.InferenceSession(os.environ["MODEL"])
facts = json.loads(session.get_modelmeta().custom_metadata_map["mien"])


@app.post("/predict")
async def predict(file: UploadFile) -> dict[str, float]:
    """Say how probable each class is."""
    image = PIL.Image.open(file.file).convert("RGB").resize(facts["image_size"][::-1], PIL.Image.Resampling.BILINEAR)
    (probs,) = session.run(["probs"], {"images": numpy.asarray(image)[None]})
    return dict(zip(facts["class_names"], numpy.asarray(probs)[0].tolist(), strict=True))
