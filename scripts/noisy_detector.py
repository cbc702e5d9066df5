"""What an automatic detector might say of the images of the BCCD data set.

The model of its mistakes, drawn per image from a hash of its name (and a seed,
where several detectors are wanted):

  - a fifth of the objects is missed;
  - box sides are off by a normal error of 4 % of the side;
  - the confidence of a hit is normal, mean 0.75, deviation 0.12, within 0.3..1;
  - one hit in twenty has another class, with a confidence of mean 0.5;
  - for every seven objects there is one false box of random place and class,
    with a confidence uniform in 0.05..0.5.
"""
import zlib

import numpy as np

CLASSES = ["Platelets", "RBC", "WBC"]


def detect(name, width, height, truth, seed=None):
    """Detections (class, score, box) of an image with true objects (class, box xyxy in pixels)."""
    random = np.random.RandomState(zlib.crc32((name if seed is None else f"{seed}/{name}").encode()))
    found = []
    for o in truth:
        if random.rand() < 0.2:
            continue
        x1, y1, x2, y2 = o["box"]
        off = random.normal(0, 0.04, 4) * [x2 - x1, y2 - y1, x2 - x1, y2 - y1]
        cls, mean = o["class"], 0.75
        if random.rand() < 0.05:
            cls, mean = random.choice([c for c in CLASSES if c != cls]), 0.5
        box = np.clip(np.array(o["box"]) + off, 0, [width, height, width, height])
        found.append({"class": str(cls), "score": float(np.clip(random.normal(mean, 0.12), 0.3, 1)), "box": [float(v) for v in box]})
    for _ in range(random.binomial(len(truth), 1 / 7)):
        w, h = random.uniform(30, 200, 2)
        x, y = random.uniform(0, width - w), random.uniform(0, height - h)
        found.append({"class": str(random.choice(CLASSES)), "score": float(random.uniform(0.05, 0.5)), "box": [float(x), float(y), float(x + w), float(y + h)]})
    return found
