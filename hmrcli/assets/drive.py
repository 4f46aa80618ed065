"""Google Drive's pages: the question before a large file, and the refusals that look like files."""

from html.parser import HTMLParser
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit, urlunsplit

from hmrcli.assets.refusal import Refused


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


def confirmed_address(text: str, address: str) -> str:
    """The address behind "Download anyway" on the page that Drive shows for files too large to scan.

    Args:
        text: the page.
        address: where the page was found.

    Raises:
        Refused: the page is another one (used-up quota, no access), or sends elsewhere.
    """
    page = _Page(text)
    if page.action is None:
        raise Refused(page_reason(text))
    target = urlsplit(urljoin(address, page.action))
    own, host = urlsplit(address), target.hostname or ""
    google = target.scheme == "https" and host.endswith((".google.com", ".googleusercontent.com"))
    if not google and (target.scheme, target.netloc) != (own.scheme, own.netloc):
        raise Refused(f"its confirmation page sends to {host}, which is not Google's")
    query = urlencode({**dict(parse_qsl(target.query)), **page.fields})
    return urlunsplit(target._replace(query=query))


def page_reason(text: str) -> str:
    """Why a web page came instead of a file, in a few words."""
    title = _Page(text).title
    if "quota" in text.lower() or "too many users" in text.lower():
        return "its download quota is used up for today"
    if "sign in" in title.lower() or "accounts.google.com" in text:
        return "it asks for a sign-in, so the file is not public"
    return f"a web page came instead of the file{f' ({title[:80]})' if title else ''}"
