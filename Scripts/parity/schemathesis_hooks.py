"""Values for schemathesis that the schema does not give: images, their ids and names of models.

Loaded by schemathesis_server.py through the configuration of schemathesis.
"""

import base64
import os
import pathlib

import schemathesis
from hypothesis import strategies

IMAGES = [pathlib.Path(path).read_bytes() for path in os.environ["CLIP_IMAGES"].split(":")]
ENCODED = [base64.b64encode(image).decode() for image in IMAGES]
URLS = [f"data:image/jpeg;base64,{text}" for text in ENCODED]

schemathesis.openapi.format("image-base64", strategies.sampled_from(ENCODED + URLS))
schemathesis.openapi.format("image-data-url", strategies.sampled_from(URLS))
schemathesis.openapi.format("model-name", strategies.just(os.environ["CLIP_MODEL_NAME"]))
schemathesis.openapi.format(
    "image-id", strategies.sampled_from(os.environ["CLIP_IMAGE_IDS"].split(":")))
for subtype in ("jpeg", "png", "webp"):
    schemathesis.openapi.media_type(f"image/{subtype}", strategies.sampled_from(IMAGES))
