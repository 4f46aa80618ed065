"""What a result was made with."""

import os
import platform
import sys
from importlib.metadata import version
from typing import Any

PACKAGES = ("numpy", "opencv-python-headless", "torch")


def describe(device: str) -> dict[str, Any]:
    """Versions, machine and command, for the record of a run.

    Args:
        device: where the network ran, as torch names it.
    """
    import torch

    name = torch.cuda.get_device_name(device) if device.startswith("cuda") else platform.processor()
    return {
        "python": platform.python_version(),
        "packages": {package: version(package) for package in PACKAGES},
        "platform": platform.platform(),
        "device": device,
        "device_name": name or platform.machine(),
        "threads": torch.get_num_threads(),
        "processes": int(os.environ.get("WORLD_SIZE", "1")),
        "command": [os.path.basename(sys.argv[0]), *sys.argv[1:]],  # noqa: PTH119
    }
