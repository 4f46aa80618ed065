"""Downloads of one file: resumed after a broken connection, given up on when they stall, and never a web page.

pooch's own downloader neither resumes nor notices a server that drips, and gdown takes any body for a file,
so this is the downloader that `pooch.retrieve` calls. Google Drive asks before large files, and its refusals
look like files.
"""

import errno
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit, urlunsplit

from hmrcli import __version__
from hmrcli.errors import Refused

if TYPE_CHECKING:
    import requests

Progress = Callable[[int, int | None], None]
"""Called with the bytes there so far and the bytes expected, None where the server does not say."""

_CHUNK = 1 << 18
_LARGEST_PAGE = 1 << 20
_HEADERS = {"User-Agent": f"hmrcli/{__version__}", "Accept-Encoding": "identity"}


@dataclass(frozen=True)
class Limits:
    """Patience with a server.

    `stall` seconds in which fewer than `least_bytes` come end a try; there are `attempts` of them, `pause`
    seconds apart, doubled each time.
    """

    stall: float = 30.0
    least_bytes: int = 4096
    attempts: int = 4
    pause: float = 1.0


_REASONS = {
    "ConnectionError": "the server cannot be reached",
    "ConnectTimeout": "the server cannot be reached in time",
    "ReadTimeout": "the server falls silent",
    "ReadTimeoutError": "the server falls silent",
    "SSLError": "the server's certificate is not accepted",
    "IncompleteRead": "the connection ends before the file does",
    "ProtocolError": "the connection breaks",
}


class _Broken(Exception):
    """The connection failed in a way that may pass."""


@dataclass
class Transfer:
    """Writes what an address serves to a file; an instance is a downloader for `pooch.retrieve`."""

    is_drive: bool
    """A confirmation page is followed."""
    limits: Limits
    progress: Progress

    def __call__(self, url: str, output_file: str, pooch: object) -> None:
        """Fetches `url` into `output_file`.

        Raises:
            Refused: the source does not give the file.
            OSError: the disk does not hold it.
        """
        import requests
        import urllib3

        target, version, reason = Path(output_file), "", ""
        for attempt in range(self.limits.attempts):
            if attempt:
                time.sleep(self.limits.pause * 2 ** (attempt - 1))
            try:
                with requests.Session() as session:
                    response, start = self._open(session, url, target, version)
                    with response:
                        version = _version(response)
                        self._save(response, target, start)
                return
            except _Broken as error:
                reason = str(error)
            except (requests.ConnectionError, requests.Timeout, urllib3.exceptions.HTTPError) as error:
                reason = _short(error)
            except requests.RequestException as error:
                raise Refused(_short(error)) from error
        raise Refused(f"{reason} (tried {self.limits.attempts} times)")

    def _open(
        self, session: "requests.Session", url: str, target: Path, version: str
    ) -> tuple["requests.Response", int]:
        """Returns the response that carries the file, and the byte at which it starts."""
        held = target.stat().st_size if version else 0
        headers = {**_HEADERS, **({"Range": f"bytes={held}-", "If-Range": version} if held else {})}
        response = session.get(url, headers=headers, stream=True, timeout=self.limits.stall)
        if self.is_drive and response.ok and "text/html" in response.headers.get("Content-Type", ""):
            with response:
                url = _confirmed_address(_page(response), response.url)
            response = session.get(url, headers=headers, stream=True, timeout=self.limits.stall)
        resumed = response.headers.get("Content-Range", "").startswith(f"bytes {held}-")
        if response.status_code == 200 or (response.status_code == 206 and held and resumed):
            return response, held if response.status_code == 206 else 0
        with response:
            if response.status_code in (408, 416, 429) or response.status_code >= 500:
                if response.status_code == 416:  # what is held is not a beginning of what is served
                    target.write_bytes(b"")
                raise _Broken(f"the server answers {response.status_code} {response.reason}")
            if response.headers.get("Content-Type", "").startswith("text/html") and self.is_drive:
                raise Refused(_page_reason(_page(response)))
            raise Refused(f"the server answers {response.status_code} {response.reason}")

    def _save(self, response: "requests.Response", target: Path, start: int) -> None:
        length = response.headers.get("Content-Length")
        total = start + int(length) if length and length.isdigit() else None
        if total is not None:
            require_space(target.parent, total - start)
        done = mark_bytes = start
        mark_time = time.monotonic()
        with target.open("ab" if start else "wb") as file:
            while chunk := response.raw.read1(_CHUNK):
                if done == 0 and chunk.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
                    raise Refused(_page_reason(chunk.decode("utf-8", "replace")))
                file.write(chunk)
                done += len(chunk)
                self.progress(done, total)
                if (now := time.monotonic()) - mark_time > self.limits.stall:
                    if done - mark_bytes < self.limits.least_bytes:
                        raise _Broken(f"the server stalls at {done} bytes")
                    mark_time, mark_bytes = now, done


def require_space(folder: Path, needed: int) -> None:
    """Raises OSError where `needed` bytes do not fit on the disk of `folder`."""
    if needed > (free := shutil.disk_usage(folder).free):
        text = f"needs {needed / 1e6:,.0f} MB and the disk of {folder} has {free / 1e6:,.0f} MB free"
        raise OSError(errno.ENOSPC, text)


def _version(response: "requests.Response") -> str:
    """Returns what names this version of the file, so that parts of two versions are never glued together."""
    tag = response.headers.get("ETag", "")
    return response.headers.get("Last-Modified", "") if not tag or tag.startswith("W/") else tag


def _page(response: "requests.Response") -> str:
    return response.raw.read(_LARGEST_PAGE).decode("utf-8", "replace")


def _short(error: Exception) -> str:
    name = type(error).__name__
    return _REASONS.get(name, f"{name}: {str(error)[:200]}")


class _Page(HTMLParser):
    """Collects the title, the download form's address and its hidden fields."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.title = ""
        self.action: str | None = None
        self.fields: dict[str, str] = {}
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "form" and values.get("id") == "download-form":
            self.action, self._inside = values.get("action", ""), "form"
        elif tag == "input" and self._inside == "form" and values.get("type") == "hidden":
            self.fields[values.get("name", "")] = values.get("value", "")
        elif tag == "title":
            self._inside = "title"

    def handle_endtag(self, tag: str) -> None:
        if tag in ("form", "title"):
            self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "title":
            self.title += data.strip()


def _confirmed_address(text: str, address: str) -> str:
    """Finds the address behind "Download anyway" on the page that Drive shows for files too large to scan.

    Raises:
        Refused: the page is another one (used-up quota, no access), or sends elsewhere.
    """
    page = _Page(text)
    if page.action is None:
        raise Refused(_page_reason(text))
    target = urlsplit(urljoin(address, page.action))
    own, host = urlsplit(address), target.hostname or ""
    google = target.scheme == "https" and host.endswith((".google.com", ".googleusercontent.com"))
    if not google and (target.scheme, target.netloc) != (own.scheme, own.netloc):
        raise Refused(f"its confirmation page sends to {host}, which is not Google's")
    query = urlencode({**dict(parse_qsl(target.query)), **page.fields})
    return urlunsplit(target._replace(query=query))


def _page_reason(text: str) -> str:
    """Says why a web page came instead of a file, in a few words."""
    title = _Page(text).title
    if "quota" in text.lower() or "too many users" in text.lower():
        return "its download quota is used up for today"
    if "sign in" in title.lower() or "accounts.google.com" in text:
        return "it asks for a sign-in, so the file is not public"
    return f"a web page came instead of the file{f' ({title[:80]})' if title else ''}"
