"""The baseline: decoding and inference in one process, without queue, encryption or protocol.

It is independent: it shares no code with the worker. With one process for each core (`--processes`)
it shows the most that the machine can do.
"""

from __future__ import annotations

import argparse
import json
import os
import time
import tomllib
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np

os.environ["ORT_DISABLE_TELEMETRY"] = "1"
import onnxruntime as ort

RESIZE = {"bicubic": cv2.INTER_CUBIC, "bilinear": cv2.INTER_LINEAR, "area": cv2.INTER_AREA}


class Direct:
    """A model in this process, with the runtime settings that the worker uses.

    `folder`: with `model.toml` and `model.onnx`.
    """

    def __init__(self, folder: Path, threads: int) -> None:
        self.recipe = tomllib.loads((folder / "model.toml").read_text())["image"]
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        cv2.setNumThreads(threads)
        self.session = ort.InferenceSession(
            folder / "model.onnx", options, providers=["CPUExecutionProvider"]
        )

    def prepare(self, photo: bytes) -> np.ndarray[Any, Any]:
        """Decode and normalise one photo; shape [1, 3, height, width]."""
        recipe = self.recipe
        image = cv2.imdecode(np.frombuffer(photo, np.uint8), cv2.IMREAD_COLOR)
        if image is None:
            raise SystemExit("not a photo that OpenCV reads")
        height, width = image.shape[:2]
        side = int(min(height, width) * recipe["crop"])
        top, left = (height - side) // 2, (width - side) // 2
        square = image[top : top + side, left : left + side]
        size = recipe["width"], recipe["height"]
        scaled = cv2.resize(square, size, interpolation=RESIZE[recipe["resize"]])
        return cv2.dnn.blobFromImage(
            scaled, 1 / recipe["scale"][0], mean=recipe["mean"], swapRB=recipe["channels"] == "RGB"
        )

    def classes(self, photos: list[bytes]) -> list[int]:
        """Return the best class of each photo of a batch."""
        batch = np.concatenate([self.prepare(photo) for photo in photos])
        (logits,) = self.session.run(None, {self.recipe["input"]: batch})
        return [int(row.argmax()) for row in np.asarray(logits)]


def read_photos(paths: list[Path]) -> list[bytes]:
    """Return the contents of files, and of all `*.jpg` files in folders."""
    files = [
        file for path in paths for file in (sorted(path.glob("*.jpg")) if path.is_dir() else [path])
    ]
    if not files:
        raise SystemExit("these folders contain no *.jpg files")
    return [file.read_bytes() for file in files]


def classify(args: tuple[Path, list[bytes], int, int, int]) -> tuple[float, float, float]:
    """Classify photos in a process of its own.

    Returns CPU seconds, begin and end, without loading.
    """
    folder, photos, count, threads, batch = args
    direct = Direct(folder, threads)
    load = [photos[index % len(photos)] for index in range(count)]
    direct.classes(load[:batch])
    wall, cpu = time.time(), time.process_time()
    for at in range(0, count, batch):
        direct.classes(load[at : at + batch])
    return time.process_time() - cpu, wall, time.time()


def main() -> None:
    """Measure and print the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=1000)
    parser.add_argument("-i", "--images", type=Path, nargs="+", default=[Path("examples/photos")])
    parser.add_argument("--model-dir", type=Path, default=Path("examples/efficientnet-lite0"))
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    photos = read_photos(options.images)
    share = options.n // options.processes
    job = (options.model_dir, photos, share, options.threads, options.batch)
    with ProcessPoolExecutor(options.processes) as pool:
        runs = list(pool.map(classify, [job] * options.processes))
    seconds = max(end for _, _, end in runs) - min(begin for _, begin, _ in runs)
    served = share * options.processes
    figures = {
        "images": served,
        "seconds": round(seconds, 3),
        "images_per_second": round(served / seconds, 2),
        "cpu_seconds_per_1000": round(1000 * sum(cpu for cpu, _, _ in runs) / served, 3),
        "processes": options.processes,
        "threads": options.threads,
        "batch": options.batch,
    }
    if options.json:
        print(json.dumps(figures))
    else:
        print("  ".join(f"{name} {value}" for name, value in figures.items()))


if __name__ == "__main__":
    main()
