"""The jobs of a Python user, for whole.py: one job per process.

    VENV/bin/python Scripts/bench/python_user.py JOB FOLDER ARGUMENT...

Jobs: zeroshot IMAGE, texts TEXT, classifier COUNT (with names from the JSON files CLASSES and
TEMPLATES; prints the seconds, saves the weights), preprocessing IMAGE (prints milliseconds for
every line of standard input).
"""

import json
import sys
import time

LABELS = ["a man riding bicycle", "a man climbing mountain"]


def open_model(folder):
    import open_clip

    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    return model.eval(), preprocess, open_clip.get_tokenizer("ViT-B-32")


def zeroshot(folder, image):
    import torch
    from PIL import Image

    model, preprocess, tokenizer = open_model(folder)
    with torch.no_grad():
        image, texts = model(preprocess(Image.open(image)).unsqueeze(0), tokenizer(LABELS))[:2]
        print(json.dumps((model.logit_scale.exp() * image @ texts.T).softmax(dim=-1)[0].tolist()))


def texts(folder, text):
    import torch

    model, _, tokenizer = open_model(folder)
    with torch.no_grad():
        print(json.dumps(model.encode_text(tokenizer([text]), normalize=True)[0].tolist()))


def classifier(folder, count, classes, templates, output):
    import numpy
    import torch
    from open_clip import build_zero_shot_classifier

    model, _, tokenizer = open_model(folder)
    classes = json.load(open(classes))[: int(count)]
    templates = [lambda name, t=t: t.replace("{c}", name).replace("{}", name)
                 for t in json.load(open(templates))]
    start = time.perf_counter()
    with torch.no_grad():
        weights = build_zero_shot_classifier(model, tokenizer, classes, templates,
                                             num_classes_per_batch=10)
    print(time.perf_counter() - start)
    numpy.save(output, weights.T.numpy())


def preprocessing(folder, image):
    import torch
    from open_clip.transform import image_transform
    from PIL import Image

    torch.set_num_threads(1)
    transform = image_transform(224, is_train=False)
    for _ in sys.stdin:
        start = time.perf_counter()
        transform(Image.open(image))
        print(1000 * (time.perf_counter() - start), flush=True)


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
