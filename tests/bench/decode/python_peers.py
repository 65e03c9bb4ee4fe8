"""Pillow and OpenCV as their users call them: python_peers.py pillow|opencv FILE…; talks as bare.c says."""
import io
import statistics
import sys
import time

import numpy as np

SIDE, SHORT = 224, 256


def box(width, height):
    """The centre square that a resize of the short side to 256 and a crop of 224 would leave."""
    edge = min(width, height) * SIDE / SHORT
    x, y = (width - edge) / 2, (height - edge) / 2
    return x, y, x + edge, y + edge


def pillow(data):
    image = Image.open(io.BytesIO(data))
    image.draft("RGB", (SHORT, SHORT))
    image = image.resize((SIDE, SIDE), Image.BILINEAR, box=box(*image.size))
    return (np.asarray(image, dtype=np.float32) - 127.5) * np.float32(1 / 127.5)


def reduction(width, height):
    for by, flag in ((8, cv2.IMREAD_REDUCED_COLOR_8), (4, cv2.IMREAD_REDUCED_COLOR_4),
                     (2, cv2.IMREAD_REDUCED_COLOR_2)):
        if min(width, height) // by >= SHORT:
            return flag
    return cv2.IMREAD_COLOR


def opencv(data, size):
    image = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), reduction(*size))
    x0, y0, x1, y1 = (round(v) for v in box(image.shape[1], image.shape[0]))
    image = cv2.resize(image[y0:y1, x0:x1], (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    return (image.astype(np.float32) - 127.5) * np.float32(1 / 127.5)


def serve(run, n):
    for i in range(n):
        run(i)
    print("ready", flush=True)
    for text in sys.stdin:
        end = time.perf_counter() + float(text)
        ms = [[] for _ in range(n)]
        while not ms[0] or time.perf_counter() < end:
            for i in range(n):
                start = time.perf_counter()
                run(i)
                ms[i].append((time.perf_counter() - start) * 1e3)
        print(statistics.mean(map(statistics.median, ms)), statistics.mean(map(min, ms)), flush=True)


which, *names = sys.argv[1:]
files = []
for name in names:
    with open(name, "rb") as f:
        files.append(f.read())
from PIL import Image  # noqa: E402
if which == "pillow":
    serve(lambda i: pillow(files[i]), len(files))
else:
    import cv2
    cv2.setNumThreads(1)
    sizes = [Image.open(io.BytesIO(data)).size for data in files]
    serve(lambda i: opencv(files[i], sizes[i]), len(files))
