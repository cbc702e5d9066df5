"""Makes the pool of the benchmark of scale: ofds_data.py FOLDER [OBJECTS]

1,000,000 objects in 250,000 images, 20 classes of weights (c+1)^-1.3, 256
dimensions. A class has 200 modes, of weights k^-1: vectors are the class's centre,
plus the mode's, plus noise, brought to length 1. Files, each an array:
vectors.f32 [N,256], class.u8 [N], image.u32 [N] (ascending), mode.u16 [N].
"""

import sys
from pathlib import Path

import numpy as np

CLASSES, MODES, DIM = 20, 200, 256


def main():
    folder, n = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1_000_000
    done = folder / f"made-{n}"
    if done.exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(7)
    chance = np.arange(1, CLASSES + 1) ** -1.3
    classes = rng.choice(CLASSES, size=n, p=chance / chance.sum()).astype(np.uint8)
    chance = np.arange(1, MODES + 1) ** -1.0
    modes = rng.choice(MODES, size=n, p=chance / chance.sum()).astype(np.uint16)
    images = np.sort(rng.integers(n // 4, size=n).astype(np.uint32))
    centres = rng.normal(size=(CLASSES, 1, DIM)) / DIM**0.5
    centres = (centres + 0.7 * rng.normal(size=(CLASSES, MODES, DIM)) / DIM**0.5).astype(np.float32)
    with open(folder / "vectors.f32", "wb") as out:
        for at in range(0, n, 50_000):
            c, m = classes[at : at + 50_000], modes[at : at + 50_000]
            v = centres[c, m] + np.float32(0.8 / DIM**0.5) * rng.standard_normal((len(c), DIM), dtype=np.float32)
            v /= np.linalg.norm(v, axis=1, keepdims=True)
            v.astype("<f4").tofile(out)
    classes.tofile(folder / "class.u8")
    images.astype("<u4").tofile(folder / "image.u32")
    modes.astype("<u2").tofile(folder / "mode.u16")
    done.touch()


main()
