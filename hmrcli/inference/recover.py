"""Many images into files, in stages at once: what is done stays done, whatever becomes of the others."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from hmrcli.inference.inputs import output_stems
from hmrcli.inference.stages import Sighting, Stages
from hmrcli.inference.task import Asked, Result

if TYPE_CHECKING:
    from hmrcli.inference.predictor import Predictor

BATCH, BATCH_BYTES = 4, 100_000_000
"""Images whose people are recovered together, at most, and their bytes: a fit of eight people takes 1.4 times that of
one, and files come every few seconds."""
AHEAD = 3 * BATCH
"""Images that are read and looked at before their turn, at most."""

Item = TypeVar("Item")


def recover_images(
    paths: Sequence[Path], out: Path, predictor: Callable[[], "Predictor"], asked: Asked
) -> Iterator[Result]:
    """Writes the files of each image; tells of it as soon as they are written.

    Images are read, people are seen in them, and files are written in threads beside the one that recovers bodies.
    People of `BATCH` images are recovered together; it changes nothing about them. The predictor is asked for when the
    first image has been read, so that bad inputs are known before.

    Raises:
        UsageError: a box or a focal length does not suit an image.
    """
    written: deque[Future[Result]] = deque()
    with Stages(predictor, asked) as stages:
        try:
            batch: list[Sighting] = []
            for coming in _ahead(map(stages.look, paths, output_stems(paths, out)), AHEAD):
                found = coming.result()
                if isinstance(found, Result):
                    yield found
                    continue
                batch.append(found)
                if len(batch) == BATCH or sum(one.task.picture.pixels.size for one in batch) > BATCH_BYTES:
                    written.extend(stages.finish(batch))
                    batch = []
                while written and (len(written) > AHEAD or written[0].done()):
                    yield written.popleft().result()
            written.extend(stages.finish(batch))
        except KeyboardInterrupt:  # whose people were recovered is still written
            yield from _results(written)
            raise
        yield from _results(written)


def _results(written: "deque[Future[Result]]") -> Iterator[Result]:
    """Waits for files to be written."""
    while written:
        yield written.popleft().result()


def _ahead(starting: Iterator[Future[Item]], most: int) -> Iterator[Future[Item]]:
    """Starts work at most so many items ahead of who asks for them."""
    started = deque(islice(starting, most))
    while started:
        yield started.popleft()
        started.extend(islice(starting, 1))
