"""A local server plays what real ones do; after each play nothing half-written is left."""

import errno
import hashlib
import io
import pickle
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hmrcli.assets.download import Limits
from hmrcli.assets.fetch import fetch
from hmrcli.assets.registry import Registry, load_registry
from hmrcli.errors import MissingFile
from tests.assets.serving import BODY, Server, cut, html, in_turn, npy, tar_of, whole

LIMITS = Limits(stall=20, attempts=3, pause=0.01)
IMPATIENT = Limits(stall=0.2, attempts=2, pause=0.01)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.closing.set()
        server.shutdown()
        thread.join()


def get(registry: Registry, root: Path, name: str = "f.npy", **more: Any) -> Path:
    return fetch(registry.by_name[name], registry, root, **{"limits": LIMITS, **more}).path


def files(root: Path) -> list[str]:
    return sorted(
        str(path.relative_to(root)) for path in root.rglob("*") if path.is_file() or path.name.startswith(".")
    )


def refusal(registry: Registry, root: Path, name: str = "f.npy", **more: Any) -> str:
    with pytest.raises(MissingFile) as caught:
        get(registry, root, name, **more)
    assert files(root) == []
    assert caught.value.exit_code == 3
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_good_file_takes_its_name_and_its_hash_is_recorded(server: Server, tmp_path: Path) -> None:
    server.routes["/f"] = whole(BODY)
    progress = []
    path = get(server.file("/f"), tmp_path, progress=lambda done, total: progress.append((done, total)))
    assert path.read_bytes() == BODY
    assert files(tmp_path) == ["sub/f.npy", "sub/f.npy.sha256"]
    assert (tmp_path / "sub/f.npy.sha256").read_text() == f"{hashlib.sha256(BODY).hexdigest()}  f.npy\n"
    assert progress[-1] == (len(BODY), len(BODY))
    assert path.stat().st_mode == (tmp_path / "sub/f.npy.sha256").stat().st_mode


def test_published_hash_accepts_its_file_alone(server: Server, tmp_path: Path) -> None:
    digest = hashlib.sha256(BODY).hexdigest()
    server.routes["/f"] = whole(BODY)
    assert get(server.file("/f", sha256=digest), tmp_path / "a").read_bytes() == BODY
    assert get(server.file("/f", sha256=digest[:8]), tmp_path / "b").read_bytes() == BODY
    other = "0" * 64
    assert f"expected {other[:16]}" in refusal(server.file("/f", sha256=other), tmp_path / "c")


def test_first_digits_in_the_name_are_checked(server: Server, tmp_path: Path) -> None:
    server.routes["/f"] = whole(BODY)
    assert "SHA-256" in refusal(server.file("/f", sha256="01234567"), tmp_path)


def test_file_that_changed_since_it_was_recorded_is_refused(server: Server, tmp_path: Path) -> None:
    server.routes["/f"] = in_turn(whole(BODY), whole(npy(3)))
    registry = server.file("/f")
    get(registry, tmp_path).unlink()
    with pytest.raises(MissingFile, match="recorded when it was first fetched"):
        get(registry, tmp_path)
    assert files(tmp_path) == ["sub/f.npy.sha256"]


def test_body_shorter_than_announced_is_refused(server: Server, tmp_path: Path) -> None:
    server.routes["/f"] = cut(BODY, 1000)
    text = refusal(server.file("/f"), tmp_path)
    assert "tried 3 times" in text and len(server.asked("/f")) == 3


def test_truncated_file_that_is_announced_as_whole_is_refused(server: Server, tmp_path: Path) -> None:
    server.routes["/f"] = whole(BODY[:-8])
    assert "cut short" in refusal(server.file("/f"), tmp_path)


def test_broken_connection_is_resumed(server: Server, tmp_path: Path) -> None:
    def rest(handler: Any) -> None:
        start = int(handler.headers["Range"].removeprefix("bytes=").removesuffix("-"))
        span = f"bytes {start}-{len(BODY) - 1}/{len(BODY)}"
        handler.head(206, Content_Length=len(BODY) - start, Content_Range=span, ETag='"one"')
        handler.wfile.write(BODY[start:])

    server.routes["/f"] = in_turn(cut(BODY, 400_000, ETag='"one"'), rest)
    assert get(server.file("/f"), tmp_path).read_bytes() == BODY
    second = server.asked("/f")[1]
    assert second["If-Range"] == '"one"'
    assert 0 < int(second["Range"].removeprefix("bytes=").removesuffix("-")) <= 400_000


def test_parts_of_different_versions_are_never_joined(server: Server, tmp_path: Path) -> None:
    server.routes["/f"] = in_turn(cut(bytes(len(BODY)), 400_000, ETag='"one"'), whole(BODY, ETag='"two"'))
    assert get(server.file("/f"), tmp_path).read_bytes() == BODY


def test_without_a_version_the_download_starts_over(server: Server, tmp_path: Path) -> None:
    server.routes["/f"] = in_turn(cut(bytes(len(BODY)), 400_000), whole(BODY))
    assert get(server.file("/f"), tmp_path).read_bytes() == BODY
    assert "Range" not in server.asked("/f")[1]


def test_server_that_refuses_the_rest_is_asked_for_the_whole(server: Server, tmp_path: Path) -> None:
    refuse = lambda handler: handler.head(416, Content_Length=0)  # noqa: E731
    server.routes["/f"] = in_turn(cut(bytes(len(BODY)), 400_000, ETag='"one"'), refuse, whole(BODY))
    assert get(server.file("/f"), tmp_path).read_bytes() == BODY
    assert "Range" not in server.asked("/f")[2]


def test_busy_server_is_asked_again(server: Server, tmp_path: Path) -> None:
    server.routes["/f"] = in_turn(lambda handler: handler.head(503, Content_Length=0), whole(BODY))
    assert get(server.file("/f"), tmp_path).read_bytes() == BODY


def test_chunked_body_without_length(server: Server, tmp_path: Path) -> None:
    def chunks(handler: Any) -> None:
        handler.head(200, Transfer_Encoding="chunked")
        for start in range(0, len(BODY), 100_000):
            part = BODY[start : start + 100_000]
            handler.wfile.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")
        handler.wfile.write(b"0\r\n\r\n")

    server.routes["/f"] = chunks
    assert get(server.file("/f"), tmp_path).read_bytes() == BODY


def test_chunked_body_that_breaks_off_is_refused(server: Server, tmp_path: Path) -> None:
    def chunks(handler: Any) -> None:
        handler.head(200, Transfer_Encoding="chunked")
        handler.wfile.write(f"{len(BODY):x}\r\n".encode() + BODY[:5000])
        handler.close_connection = True

    server.routes["/f"] = chunks
    assert "the connection" in refusal(server.file("/f"), tmp_path)


def test_web_page_is_never_taken_for_a_file(server: Server, tmp_path: Path) -> None:
    page = b"\n <!DOCTYPE html><html><title>Welcome</title></html>"
    server.routes["/f"] = whole(page, Content_Type="application/octet-stream")
    text = refusal(server.file("/f"), tmp_path, options=" --data-root D")
    assert "a web page came instead of the file (Welcome)" in text
    assert "Licence: L: testers (https://licence.example)" in text
    assert f"open {server.url}/f in a browser" in text
    assert text.endswith("run: hmr download f.npy --from-file PATH --data-root D")


def test_404_lets_the_next_source_serve(server: Server, tmp_path: Path) -> None:
    server.routes["/f"] = whole(BODY)
    notes: list[str] = []
    assert get(server.file("/gone", "/f"), tmp_path, note=notes.append).read_bytes() == BODY
    assert len(notes) == 1 and "404" in notes[0] and len(server.asked("/gone")) == 1


def test_unreachable_server(server: Server, tmp_path: Path) -> None:
    registry = server.registry(**{"f.npy": {"sources": [{"url": "http://127.0.0.1:9/f"}]}})
    assert "cannot be reached" in refusal(registry, tmp_path)


def test_silent_server_is_given_up(server: Server, tmp_path: Path) -> None:
    def silence(handler: Any) -> None:
        handler.head(200, Content_Length=len(BODY))
        handler.wfile.write(BODY[:1000])
        server.closing.wait()

    server.routes["/f"] = silence
    assert "falls silent" in refusal(server.file("/f"), tmp_path, limits=IMPATIENT)


def test_dripping_server_is_given_up(server: Server, tmp_path: Path) -> None:
    def drip(handler: Any) -> None:
        handler.head(200, Content_Length=len(BODY))
        for byte in BODY:
            handler.wfile.write(bytes([byte]))
            if server.closing.wait(0.02):
                return

    server.routes["/f"] = drip
    assert "stalls" in refusal(server.file("/f"), tmp_path, limits=IMPATIENT)


def drive_page(action: str) -> Callable[[Any], None]:
    return html(
        "<!DOCTYPE html><html><head><title>Google Drive - Virus scan warning</title></head><body>"
        f'<form id="download-form" action="{action}" method="get"><input type="submit" value="Yes"/>'
        '<input type="hidden" name="id" value="ID"><input type="hidden" name="confirm" value="t">'
        '<input type="hidden" name="uuid" value="u-1"></form></body></html>'
    )


def test_drive_confirmation_is_followed(server: Server, tmp_path: Path) -> None:
    asked = []

    def confirmed(handler: Any) -> None:
        asked.append(handler.query)
        whole(BODY)(handler)

    server.routes["/uc"] = drive_page(f"{server.url}/download")
    server.routes["/download"] = confirmed
    registry = server.registry(**{"f.npy": {"sources": [{"drive": "ID"}]}})
    assert get(registry, tmp_path).read_bytes() == BODY
    assert asked == [{"id": "ID", "confirm": "t", "uuid": "u-1"}]


def test_drive_confirmation_to_elsewhere_is_refused(server: Server, tmp_path: Path) -> None:
    server.routes["/uc"] = drive_page("http://localhost:1/download")
    registry = server.registry(**{"f.npy": {"sources": [{"drive": "ID"}]}})
    assert "not Google's" in refusal(registry, tmp_path)


@pytest.mark.parametrize("status", [200, 403])
def test_drive_quota_page_is_recognised(server: Server, tmp_path: Path, status: int) -> None:
    page = "<!DOCTYPE html><html><head><title>Google Drive - Quota exceeded</title></head></html>"
    server.routes["/uc"] = html(page, status)
    registry = server.registry(**{"f.npy": {"sources": [{"drive": "ID"}]}})
    text = refusal(registry, tmp_path)
    assert "quota is used up" in text and "open https://drive.google.com/file/d/ID/view in a browser" in text


def test_disk_that_cannot_hold_the_file_is_told_beforehand(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.routes["/f"] = whole(BODY)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    text = refusal(server.file("/f", "/f"), tmp_path)
    assert "needs 1 MB" in text and "--data-root" in text and text.endswith("hmr download f.npy")
    assert len(server.asked("/f")) == 1


def test_disk_that_fills_up_while_writing(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(io.BytesIO):
        def write(self, data: Any) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    plain = Path.open
    monkeypatch.setattr(
        Path,
        "open",
        lambda path, mode="r", *rest, **more: Full() if mode == "wb" else plain(path, mode, *rest, **more),
    )
    server.routes["/f"] = whole(BODY)
    assert "is full" in refusal(server.file("/f"), tmp_path)


def test_interruption_leaves_nothing(server: Server, tmp_path: Path) -> None:
    def interrupt(done: int, total: int | None) -> None:
        raise KeyboardInterrupt

    server.routes["/f"] = whole(BODY)
    with pytest.raises(KeyboardInterrupt):
        get(server.file("/f"), tmp_path, progress=interrupt)
    assert files(tmp_path) == []


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT to another process")
def test_ctrl_c_ends_with_130_and_leaves_nothing(server: Server, tmp_path: Path) -> None:
    started = threading.Event()

    def endless(handler: Any) -> None:
        handler.head(200, Content_Length=len(BODY))
        handler.wfile.write(BODY[:1000])
        started.set()
        server.closing.wait()

    server.routes["/f"] = endless
    script = (
        "import typer; from hmrcli.cli.console import exit_codes; from hmrcli.cli.download import download\n"
        "app = typer.Typer(pretty_exceptions_enable=False); app.command()(download)\n"
        "with exit_codes(): app()"
    )
    env = server.publish(server.file("/f"), tmp_path / "registry.yaml")
    root = tmp_path / "root"
    command = [sys.executable, "-c", script, "f.npy", "--data-root", str(root)]
    process = subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True)
    assert started.wait(60)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in told
    assert files(root) == []


def test_two_processes_fetch_the_same_file_at_once(server: Server, tmp_path: Path) -> None:
    both = threading.Barrier(2, timeout=60)

    def together(handler: Any) -> None:
        handler.head(200, Content_Length=len(BODY))
        handler.wfile.write(BODY[:1000])
        both.wait()
        handler.wfile.write(BODY[1000:])

    server.routes["/f"] = together
    env = server.publish(server.file("/f"), tmp_path / "registry.yaml")
    script = (
        "import sys; from pathlib import Path; from hmrcli.assets.fetch import fetch;"
        "from hmrcli.assets.registry import load_registry; r = load_registry();"
        "fetch(r.by_name['f.npy'], r, Path(sys.argv[1]))"
    )
    root = tmp_path / "root"
    running = [subprocess.Popen([sys.executable, "-c", script, str(root)], env=env) for _ in range(2)]
    assert [process.wait(timeout=120) for process in running] == [0, 0]
    assert (root / "sub/f.npy").read_bytes() == BODY
    assert files(root) == ["sub/f.npy", "sub/f.npy.sha256"]


def test_members_of_one_archive_fetch_it_once(server: Server, tmp_path: Path) -> None:
    first, second = npy(4, 82), npy(5, 82)
    server.routes["/fits.tar.gz"] = whole(tar_of(**{"fits/a.npy": first, "fits/b.npy": second}))
    source = {"url": f"{server.url}/fits.tar.gz"}
    registry = server.registry(
        **{
            name: {"sources": [{**source, "member": name}], "check": {"shape": [None, 82]}}
            for name in ("a.npy", "b.npy")
        }
    )
    shelf = tmp_path / "shelf"
    root = tmp_path / "root"
    assert get(registry, root, "a.npy", shelf=shelf).read_bytes() == first
    assert get(registry, root, "b.npy", shelf=shelf).read_bytes() == second
    assert len(server.asked("/fits.tar.gz")) == 1
    assert files(root) == ["sub/a.npy", "sub/a.npy.sha256", "sub/b.npy", "sub/b.npy.sha256"]


def test_archive_with_a_member_that_points_out_is_refused(server: Server, tmp_path: Path) -> None:
    server.routes["/evil"] = whole(tar_of(**{"a.npy": npy(2), "../escaped.npy": npy(2)}))
    registry = server.registry(**{"a.npy": {"sources": [{"url": f"{server.url}/evil", "member": "a.npy"}]}})
    assert "points out of it" in refusal(registry, tmp_path / "root", "a.npy")
    assert files(tmp_path) == []


def weights(shapes: dict[str, tuple[int, ...]]) -> bytes:
    import torch

    buffer = io.BytesIO()
    torch.save(
        {"state_dict": {name: torch.zeros(shape, dtype=torch.int8) for name, shape in shapes.items()}}, buffer
    )
    return buffer.getvalue()


def test_wrong_network_behind_the_hrnet_w48_ids_is_caught(server: Server, tmp_path: Path) -> None:
    name = "hrnetw48_coco_pose.pth"
    registry = load_registry().model_copy(update={"drive": f"{server.url}/uc"})
    corrected, first_list = (source.drive for source in registry.by_name[name].sources)
    right = dict(registry.by_name[name].check.tensors)
    narrow = {key: (shape if key == "conv1.weight" else (32, 32, 3, 3)) for key, shape in right.items()}
    served: dict[str | None, bytes] = {
        corrected: weights(narrow),
        first_list: weights({"backbone.patch_embeds.0.proj.weight": (64, 3, 4, 4)}),
    }
    server.routes["/uc"] = lambda handler: whole(served[handler.query["id"]])(handler)
    text = refusal(registry, tmp_path, name)
    assert "stage4.0.branches.0.0.conv1.weight is (32, 32, 3, 3), expected (48, 48, 3, 3)" in text
    assert f"Google Drive {first_list}: it holds another network: no conv1.weight" in text

    served[corrected] = weights({f"module.{key}": shape for key, shape in right.items()})
    assert get(registry, tmp_path, name) == tmp_path / "checkpoints" / name


class _Hostile:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.marker,)


@pytest.mark.parametrize("name", ["f.pth", "f.pkl"])
def test_code_in_a_file_is_never_run(server: Server, tmp_path: Path, name: str) -> None:
    import torch

    buffer = io.BytesIO()
    hostile = {"conv1.weight": _Hostile(tmp_path / "ran")}
    torch.save(hostile, buffer) if name.endswith(".pth") else pickle.dump(hostile, buffer)
    server.routes["/f"] = whole(buffer.getvalue())
    refusal(server.registry(**{name: {"sources": [{"url": f"{server.url}/f"}]}}), tmp_path / "root", name)
    assert not (tmp_path / "ran").exists()
