"""Many images into files, in stages at once: what is done stays done, whatever becomes of the others.

Each stage has threads: reading an image, seeing people in it, recovering them, and writing their files. Seeing needs
no torch, so that a first image is looked at while torch is imported, which takes as long.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from threading import Condition
from typing import TYPE_CHECKING, NamedTuple, Self

from hmrcli.environment import threads
from hmrcli.errors import UsageError
from hmrcli.inference.images import read_picture
from hmrcli.inference.inputs import output_stems
from hmrcli.inference.task import Asked, Result, Task, camera_of, settings_of

if TYPE_CHECKING:
    from hmrcli.inference.person import People
    from hmrcli.inference.photo import Seen
    from hmrcli.inference.predictor import Predictor

BATCH, BATCH_BYTES = 4, 100_000_000
"""Images whose people are recovered together, at most, and their bytes: a fit of eight people takes 1.4 times that of
one, and files come every few seconds."""
AHEAD = 3 * BATCH
"""Images that are read and looked at before their turn, at most."""
HELD_BYTES = 200_000_000
"""Bytes of pictures in memory from which no other is read; a batch holds half of it."""


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
            for coming in _ahead(map(stages.look, paths, output_stems(paths, out))):
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


def _ahead(starting: "Iterator[Future[Sighting | Result]]") -> "Iterator[Future[Sighting | Result]]":
    """Starts work at most `AHEAD` images ahead of who asks for them."""
    started = deque(islice(starting, AHEAD))
    while started:
        yield started.popleft()
        started.extend(islice(starting, 1))


class Sighting(NamedTuple):
    """An image in which people were looked for."""

    task: Task
    seen: "Seen"


class Stages:
    """Threads for each stage but recovering, which is the caller's; ends them and what they have not begun."""

    def __init__(self, predictor: Callable[[], "Predictor"], asked: Asked) -> None:
        """Takes what gives the predictor, called once when an image has been read, and what is asked of images."""
        self.predictor, self.asked = predictor, asked
        self._room = Room(HELD_BYTES)
        # One thread reads: what Pillow warns of and what decoders print is caught for the whole process.
        self._reader, self._writer = ThreadPoolExecutor(1), ThreadPoolExecutor(1)
        self._eyes = ThreadPoolExecutor(threads())
        self._loading: Future[Predictor] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._room.open()
        self._reader.shutdown(cancel_futures=True)
        self._eyes.shutdown(cancel_futures=True)
        self._writer.shutdown()  # whoever was recovered is kept

    def look(self, path: Path, target: Path) -> "Future[Sighting | Result]":
        """Begins to read an image and to look for people in it."""
        reading = self._reader.submit(self._read, path, target)
        return self._eyes.submit(self._see, reading)

    def finish(self, batch: Sequence[Sighting]) -> "Iterator[Future[Result]]":
        """Recovers the people of some images and begins to write their files.

        Raises:
            UsageError: what is asked does not suit an image.
            MissingFile, BadInput: the predictor cannot be loaded.
        """
        if not batch:
            return
        predictor = self._loaded()
        try:
            found = predictor.recover([one.seen for one in batch])
        except UsageError:
            raise
        except Exception as error:
            if len(batch) > 1:  # the one that is wrong is not known
                for one in batch:
                    yield from self.finish([one])
                return
            task, failed = batch[0].task, Future[Result]()
            self._room.leave(task)
            failed.set_result(Result(task.path, task.target, error=error))
            yield failed
        else:
            for one, people in zip(batch, found):
                yield self._writer.submit(self._write, one.task, people)

    def _loaded(self) -> "Predictor":
        return self._load().result()

    def _load(self) -> "Future[Predictor]":
        """Begins to load what all images need, once; the reader's thread is the first to call it."""
        if self._loading is None:
            self._loading = self._writer.submit(_load, self.predictor, self.asked)
            self._writer.submit(_load_writing, self.asked)
        return self._loading

    def _read(self, path: Path, target: Path) -> Task | Result:
        self._room.wait()
        try:
            picture = read_picture(path)
            camera = camera_of(picture.camera, self.asked, picture.orientation)
            task = Task(path, target, picture, camera, settings_of(path, camera, self.asked))
        except UsageError:
            raise
        except Exception as error:
            return Result(path, target, error=error)
        self._load()
        if (asked := self.asked).resume:
            from hmrcli.inference.save import saved_entry

            saved = saved_entry(task, self._loaded(), asked.saves, asked.mesh_format, asked.bvh_names)
            if saved:
                return Result(path, target, saved, skipped=True)
        self._room.enter(task)
        return task

    def _see(self, reading: "Future[Task | Result]") -> Sighting | Result:
        task, asked = reading.result(), self.asked
        if isinstance(task, Result):
            return task
        from hmrcli.inference.photo import Photo, checked_boxes, see

        try:
            pixels = task.picture.pixels
            boxes = None if asked.boxes is None else checked_boxes(asked.boxes, *pixels.shape[1::-1])
            seen = see(Photo(pixels, boxes, task.camera), asked.max_people, asked.network)
            return Sighting(task, seen)
        except UsageError:
            raise
        except Exception as error:
            self._room.leave(task)
            return Result(task.path, task.target, error=error)

    def _write(self, task: Task, people: "People") -> Result:
        from hmrcli.inference.save import save_image

        asked = self.asked
        notes = (*task.picture.notes, *(f"{task.path}: {text}" for text in people.notes))
        try:
            entry = save_image(task, people, self._loaded(), asked.saves, asked.mesh_format, asked.bvh_names)
            return Result(task.path, task.target, entry, notes=notes)
        except UsageError:
            raise
        except Exception as error:
            return Result(task.path, task.target, error=error, notes=notes)
        finally:
            self._room.leave(task)


class Room:
    """Room for pictures: whoever would read another one waits while too much is held."""

    def __init__(self, most: float) -> None:
        """Takes the bytes from which on one waits."""
        self.held, self._most, self._changed = 0, most, Condition()

    def wait(self) -> None:
        """Waits until less is held."""
        with self._changed:
            self._changed.wait_for(lambda: self.held < self._most)

    def enter(self, task: Task) -> None:
        """Counts a picture."""
        self._add(task.picture.pixels.size)

    def leave(self, task: Task) -> None:
        """Counts it no longer."""
        self._add(-task.picture.pixels.size)

    def open(self) -> None:
        """Lets everyone in who waits, for the end."""
        self._most = float("inf")
        self._add(0)

    def _add(self, count: int) -> None:
        with self._changed:
            self.held += count
            self._changed.notify_all()


def _load(predictor: Callable[[], "Predictor"], asked: Asked) -> "Predictor":
    loaded = predictor()
    from hmrcli.export.write import prepare

    prepare(loaded.body, asked.saves)
    return loaded


def _load_writing(asked: Asked) -> None:
    """Imports what writing needs, while the first image is still being looked at."""
    import hmrcli.inference.save

    if {"overlay", "mesh"} & set(asked.saves):
        import hmrcli.render.kernels  # noqa: F401
