"""What Pillow and NumPy make of a picture for a network: the other opinion on resizing and normalising."""
import io

import numpy as np
from PIL import Image

FILTERS = {"bilinear": Image.BILINEAR, "bicubic": Image.BICUBIC, "nearest": Image.NEAREST, "area": Image.BOX}
MODES = ["short_side", "squash", "central_crop", "letterbox"]


def upright(path):
    """RGB, transparency on white. Orientation is the caller's business."""
    with Image.open(path) as image:
        if image.mode in ("RGBA", "LA", "P") and ("transparency" in image.info or image.mode != "P"):
            rgba = image.convert("RGBA")
            white = Image.new("RGB", image.size, (255, 255, 255))
            white.paste(rgba, mask=rgba.getchannel("A"))
            return white
        return image.convert("RGB")


def tf_axis(n_in, n_out):
    """tf.image.resize, bilinear, half-pixel centres, no antialias: two neighbours and the weight of the upper."""
    at = np.clip((np.arange(n_out) + 0.5) * n_in / n_out - 0.5, 0, n_in - 1)
    low = np.floor(at).astype(int)
    return low, np.minimum(low + 1, n_in - 1), at - low


def tf_bilinear(image, size):
    pixels = np.asarray(image, np.float64)
    x0, x1, wx = tf_axis(image.width, size[0])
    y0, y1, wy = tf_axis(image.height, size[1])
    rows = pixels[y0] * (1 - wy)[:, None, None] + pixels[y1] * wy[:, None, None]
    out = rows[:, x0] * (1 - wx)[None, :, None] + rows[:, x1] * wx[None, :, None]
    return Image.fromarray(np.rint(out).astype(np.uint8))


def scaled(image, size, name):
    return tf_bilinear(image, size) if name == "tf_bilinear" else image.resize(size, FILTERS[name])


def resized(image, side, mode, name):
    """side x side x 3 pixels."""
    w, h = image.size
    if mode == "squash":
        out = scaled(image, (side, side), name)
    elif mode == "central_crop":
        out = scaled(image.crop((w // 16, h // 16, w - w // 16, h - h // 16)), (side, side), name)
    else:
        short = mode == "short_side"
        by, least = ((side * 256 + 112) // 224, min(w, h)) if short else (side, max(w, h))
        nw, nh = (max((v * by + least // 2) // least, 1) for v in (w, h))
        whole = scaled(image, (nw, nh), name)
        if short:
            x, y = (nw - side) // 2, (nh - side) // 2
            out = whole.crop((x, y, x + side, y + side))
        else:
            out = Image.new("RGB", (side, side), (128, 128, 128))
            out.paste(whole, ((side - nw) // 2, (side - nh) // 2))
    return np.asarray(out)


def png(image):
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()
