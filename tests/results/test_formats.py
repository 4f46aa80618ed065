"""Every format, parsed back to the figures that went in."""

import csv
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from rich.console import Console

from hmrcli.results.charts import dots
from hmrcli.results.formats import to_csv, to_html, to_json, to_latex, to_markdown
from hmrcli.results.open_table import open_report
from hmrcli.results.published import published
from hmrcli.results.report import Column, Report, Sheet
from hmrcli.results.runs import read_runs
from hmrcli.results.table import algorithms_report, wide_report
from hmrcli.results.terminal import print_report
from tests.results.made import document, open_document, open_run, put, score

FIGURES = [f"{cell.published:.2f}" for cell in published().benchmark.cells]
SVG = "{http://www.w3.org/2000/svg}"
LETTERS = {
    "hmr_l1_coco": "a",
    "spin_normal": "b",
    "graphcmr_l1": "de",
    "pare_l1_coco_aug": "f",
    "pare_l1": "",
}


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Report:
    folder = tmp_path_factory.mktemp("runs")
    put(folder, "a", document("hmr_normal", 64.50))
    put(folder, "b", document("hmr_l1", 55.00))
    put(folder, "c", document("spin_normal", 62.25))
    put(folder, "d", document("graphcmr_l1", 67.1, scores=[score(67.1, "parametric"), score(64.2, "free")]))
    put(folder, "e", open_document("open_hmr_l1", 81.75))
    put(folder, "g", document("my_hmr", 58.0))
    put(folder, "f&<b>|_x_%$", document("hmr_l1", 57.0, created="2025-01-01T00:00:00+00:00"))
    runs, bad = read_runs(folder)
    assert not bad
    return algorithms_report(runs)


def terminal(report: Report, width: int) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    print_report(report, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def hostile(text: str) -> Report:
    columns = [Column("Run", lambda record: record["run"], noted=True)]
    sheet = Sheet(text, columns, [{"run": text, "notes": ["a"]}])
    return Report("t", "3dpw", text, sheet, [sheet], {"a": text}, [text])


class Page(HTMLParser):
    """Cells of the tables of a page, and whatever would reach beyond the page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tables: list[list[list[str]]] = []
        self.tags: set[str] = set()
        self.links: list[str] = []
        self.inside = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [str(value) for name, value in attrs if name in ("src", "href", "xlink:href")]
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
        self.inside = tag in ("td", "th", "sup", "span")

    def handle_endtag(self, tag: str) -> None:
        self.inside = self.inside and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.tables[-1][-1][-1] += data


def test_json_has_every_row_with_plain_values(compared: Report) -> None:
    whole = json.loads(to_json(compared))
    assert [f"{row['published']:.2f}" for row in whole["rows"]] == FIGURES
    rows = {row["recipe"]: row for row in whole["rows"]}
    hmr = rows["hmr_l1"]
    assert (hmr["pa_mpjpe_mm"], hmr["difference"], hmr["verdict"], hmr["run"]) == (55.0, -3.2, "better", "b")
    assert (hmr["protocol"], hmr["body_model"], hmr["samples"]) == ("3dpw", "smpl", 35515)
    assert [rows[name]["verdict"] for name in ("hmr_normal", "spin_normal", "pare_l1")] == [
        "reproduced",
        "worse",
        None,
    ]
    assert set(hmr) == set(rows["pare_l1"]), "a row without a run has the same keys"
    assert {name: "".join(rows[name]["notes"]) for name in LETTERS} == LETTERS
    assert rows["pare_l1_coco_aug"]["first_listed"] == 51.66
    assert [each["value"] for each in rows["hmr_l1_coco"]["sources"]] == [51.80, 51.8, 51.66]
    apart = {(row["run"], row["surface"]): row["reason"] for row in whole["others"][2]["rows"]}
    assert apart == {
        ("d", "free"): "another mesh of the same network",
        ("e", None): "protocol open, not 3dpw",
        ("f&<b>|_x_%$", None): "an earlier run of this recipe",
    }


def test_rows_beyond_the_benchmark_have_a_section_that_says_what_they_were_trained_on(
    compared: Report,
) -> None:
    for report, names in (
        (algorithms_report(), ["cliff", "cliff"]),
        (compared, ["cliff", "cliff", "my_hmr"]),
    ):
        (rows,) = [
            sheet["rows"] for sheet in json.loads(to_json(report))["others"] if "Beyond" in sheet["title"]
        ]
        assert [row["recipe"] for row in rows] == names
        assert [(row["pa_mpjpe_mm"], row["mpjpe_mm"], row["saw_3dpw"]) for row in rows[:2]] == [
            (48.65, 76.49, True),
            (47.38, 75.08, True),
        ]
        assert all("configs/cliff" in row["source"] for row in rows[:2])
        said = " ".join(terminal(report, 140).split())
        assert "yes published for CLIFF, ResNet-50, stage 1" in said and "not comparable" in said
        assert "48.65" not in to_csv(report) + dots(report)
    assert (rows[2]["pa_mpjpe_mm"], rows[2]["saw_3dpw"], rows[2]["run"]) == (58.0, None, "g")
    assert "not known measured on pw3d_test: g" in " ".join(terminal(compared, 140).split())


def test_csv_has_every_row_and_none_that_is_set_apart(compared: Report) -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv(compared))))
    assert [f"{float(row['published']):.2f}" for row in rows] == FIGURES
    assert rows[1]["pa_mpjpe_mm"] == "55.0" and rows[1]["verdict"] == "better"
    assert rows[2]["pa_mpjpe_mm"] == "" and rows[2]["notes"] == "a"
    assert rows[0]["datasets"] == "H36M; MI; COCO; LSP; LSPET; MPII"
    assert "81.75" not in to_csv(compared)


def test_markdown_tables_have_as_many_cells_as_headings(compared: Report) -> None:
    text = to_markdown(compared)
    tables = [part.splitlines() for part in text.split("\n\n") if part.startswith("|")]
    assert [len(table) - 2 for table in tables] == [20, 3, 5, 3]
    for table in tables:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table}) == 1
    figures = [re.sub("<sup>.*", "", line.split("|")[3].strip()) for line in tables[0][2:]]
    assert figures == FIGURES
    assert "51.80<sup>a</sup>" in text and "\n<sup>a</sup> The combine table" in text
    assert r"f&\<b\>\|\_x\_%$" in text


def test_latex_rows_match_their_columns_and_specials_are_escaped(compared: Report) -> None:
    text = to_latex(compared)
    tables = re.findall(r"\\begin\{tabular\}\{@\{\}([lr]+)@\{\}\}(.*?)\\end\{tabular\}", text, re.S)
    assert [len(re.findall(r" \\\\\n", body)) - 1 for _, body in tables] == [20, 3, 5, 3]
    for columns, body in tables:
        for row in re.findall(r"(.*) \\\\\n", body):
            assert len(re.split(r"(?<!\\)&", row)) == len(columns)
    assert text.count("{") - text.count(r"\{") == text.count("}") - text.count(r"\}")
    assert text.count(r"\begin{") == text.count(r"\end{")
    assert r"58.32\textsuperscript{f}" in text and "64.20--64.80" in text and "$-$3.20" in text
    assert r"f\&\textless{}b\textgreater{}\textbar{}\_x\_\%\$" in text
    assert not re.search(r"(?<!\\)[%#_]", text.split("\n", 1)[1]), "the first line alone is a comment"


def test_latex_keeps_a_bracket_from_the_line_break_before_it() -> None:
    assert "\n    {}[x" in to_latex(hostile("[x"))


def test_html_page_has_the_tables_and_needs_nothing_else(compared: Report) -> None:
    text = to_html(compared)
    page = Page(text)
    assert [len(table) - 1 for table in page.tables] == [20, 3, 5, 3]
    first = page.tables[0][1]
    assert first[:4] == ["HMR", "Normal", "64.55", "64.50"] and "reproduced" in first
    assert page.tables[0][3][1] == "51.80a" and page.tables[0][3][2] == "not run"
    assert all(link.startswith("#") for link in page.links)
    assert not page.tags & {"script", "link", "img", "iframe", "object", "base"}
    reached = re.findall(
        r"url\((?!#)|@import|http[^\s\"]*|href=\"(?!#)", re.sub(r'xmlns(:\w+)?="[^"]*"', "", text)
    )
    assert reached == []
    assert len(re.findall("<li>", text)) == len(compared.notes) == 6
    assert "f&amp;&lt;b&gt;|_x_%$" in text


def test_html_of_hostile_words_stays_text() -> None:
    page = Page(to_html(hostile("<script>alert(1)</script>\"'&")))
    assert "script" not in page.tags and page.tables[0][1][0].startswith("<script>alert(1)")


def marks(svg: str) -> dict[str, list[float]]:
    """What is told of each row that has marks, and where these are, in pixels from the left."""
    told: dict[str, list[float]] = {}
    for group in ElementTree.fromstring(svg).iter(f"{SVG}g"):
        if (title := group.findtext(f"{SVG}title")) is not None:
            told.setdefault(title, []).extend(float(use.get("x", "")) for use in group.iter(f"{SVG}use"))
    return told


def test_the_chart_shows_each_row_where_its_figure_says(compared: Report) -> None:
    rows = marks(dots(compared))
    assert len(rows) == 20
    places = np.array([(float(value), x) for value, (x, *_) in zip(FIGURES, rows.values())])
    slope, left = np.polyfit(*places.T, 1)
    np.testing.assert_allclose(places[:, 0] * slope + left, places[:, 1], atol=0.1)
    assert [len(each) for each in rows.values()].count(2) == 4, "published and measured"
    told = "HMR L1: published 58.20 mm, measured 55.00 mm (95 % interval 54.70 to 55.30)"
    assert rows[told] == pytest.approx([58.2 * slope + left, 55.0 * slope + left], abs=0.1)
    words = "".join(ElementTree.fromstring(dots(compared)).itertext())
    assert "PA-MPJPE, mm (lower is better)" in words and "measured, with 95 % interval" in words
    assert "#0060a8" not in dots(compared), "colours are the page's, which follow a dark screen"


def test_the_chart_of_nothing_measured_is_left_out() -> None:
    report = open_report([])
    assert dots(report) == "" and "<svg" not in to_html(report)
    assert Page(to_html(report)).tables[0][1][:3] == ["HMR", "Normal", "not run"]


@pytest.mark.parametrize("width", [80, 140])
def test_the_terminal_table_fits_and_says_everything(compared: Report, width: int) -> None:
    for report in (compared, algorithms_report(), open_report([])):
        text = terminal(report, width)
        assert max(map(len, text.splitlines())) <= width
        assert "…" not in text
    text = terminal(compared, width)
    for figure in FIGURES:
        assert re.search(rf"\b{re.escape(figure)}", text)
    assert re.search(r"L1 +58\.20 +55\.00 +54\.70–55\.30 +−3\.20 +better", text)
    assert "51.80ᵃ" in text and "ᵃ The combine table" in text and "Set apart" in text
    assert ("Checkpoint SHA-256" in text) == (width == 140)


@pytest.mark.parametrize("width", [80, 140])
def test_numbers_stay_aligned_whatever_footnotes_they_have(width: int) -> None:
    text = terminal(algorithms_report(), width)
    lines = [line for line in text.splitlines() if "Normal" in line or "L1" in line][:20]
    assert len({re.search(r"\d\d\.\d\d", line).start() for line in lines}) == 1  # type: ignore[union-attr]


def test_verdicts_are_coloured_in_a_terminal(compared: Report) -> None:
    console = Console(
        file=io.StringIO(), width=80, force_terminal=True, color_system="standard", no_color=False
    )
    print_report(compared, console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    for code, word in ((32, "reproduced"), (36, "better"), (31, "worse")):
        assert f"\x1b[{code}m{word}" in text


@pytest.mark.parametrize("name", published().tables)
def test_wider_tables_come_whole_in_every_format(name: str) -> None:
    table, report = published().tables[name], wide_report(name)
    rows = json.loads(to_json(report))["rows"]
    assert [[row[key] for key in table.columns] for row in rows] == [list(row) for row in table.rows]
    cells = [f"{value:.2f}" for row in table.rows for value in row if isinstance(value, float)]
    for text in (
        to_markdown(report),
        to_latex(report),
        to_html(report),
        terminal(report, 80),
        terminal(report, 140),
    ):
        assert set(cells) <= set(re.findall(r"\d+\.\d\d", text))
    parsed = list(csv.DictReader(io.StringIO(to_csv(report))))
    assert [row[next(iter(table.columns))] for row in parsed] == [row[0] for row in table.rows]
    assert "<svg" not in to_html(report)


def test_nothing_that_is_not_json_leaves_as_json(tmp_path: Path) -> None:
    with pytest.raises(ValueError):
        to_json(Report("t", "3dpw", "", Sheet("t", [], [{"x": float("nan")}]), [], {}, []))


def test_a_footnote_tells_whose_body_labels_were_learnt(tmp_path: Path) -> None:
    labels = {"seed": 0, "without": [], "smpl_labels": {"h36m": "NeuralAnnot"}}
    fits = {"seed": 0, "without": [], "static_fits": {"coco": "SMPLify from the mean pose"}}
    for recipe, environment in (("hmr_normal", labels), ("hmr_l1", None), ("spin_l1", fits)):
        run = open_run(tmp_path, recipe, 60.0, environment=environment)
        put(run, "pw3d", document(recipe, 60.0))
    report = algorithms_report(read_runs(tmp_path)[0])
    (letter,) = (letter for letter, text in report.notes.items() if "NeuralAnnot" in text)
    assert report.notes[letter].startswith("SMPL labels of h36m: NeuralAnnot.")
    assert [r["recipe"] for r in report.main.records if letter in r["notes"]] == ["hmr_normal"]
    (letter,) = (letter for letter, text in report.notes.items() if "SMPLify from the mean pose" in text)
    assert report.notes[letter].startswith("Static fits of coco: SMPLify")
    assert [r["recipe"] for r in report.main.records if letter in r["notes"]] == ["spin_l1"]
