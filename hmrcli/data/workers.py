"""Start of the processes that make samples."""

import signal

import cv2
import torch


def start_worker(worker: int = 0) -> None:
    """Workers are processes: threads inside them would get in each other's way, and signals are for their parent."""
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
