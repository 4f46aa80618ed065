"""What is set before heavy work: how memory is given back."""

import subprocess
import sys

import pytest

FREED = """
import threading
from pathlib import Path
import numpy as np
from hmrcli.environment import frugal_memory
if {frugal}:
    frugal_memory()

def work(gate):
    arrays = [np.ones(20 << 17) for _ in range(2)]  # 20 MiB each; what stays above keeps the heap from shrinking
    gate.wait()
    kept.append(np.ones(100))

kept, gate = [], threading.Barrier(4)
for _ in range(3):
    threads = [threading.Thread(target=work, args=(gate,)) for _ in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
print(int(Path("/proc/self/statm").read_text().split()[1]) * 4096 >> 20)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="speaks of glibc")
def test_what_threads_free_is_given_back() -> None:
    plain, frugal = (
        int(
            subprocess.run(
                [sys.executable, "-c", FREED.format(frugal=on)], capture_output=True, check=True
            ).stdout
        )
        for on in (False, True)
    )
    assert frugal < 100 < plain
