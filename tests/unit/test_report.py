"""Reports: what is in the data is in the page, what is foreign stays text, files are whole."""

from __future__ import annotations

import json
import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from hfcli.errors import RunError
from hfcli.render.report.evaluate import SCHEMA_FILE, write_eval_report
from hfcli.render.report.finetune import write_finetune_report
from hfcli.render.report.markdown import escaped, fenced
from hfcli.render.report.palette import SLOTS, Palette
from hfcli.render.report.text import number, visible
from tests.reports import (
    HOSTILE,
    LABELS,
    RECIPE,
    eval_report,
    finetune_folder,
    finetune_result,
    predictions,
)

PICTURES = {"loss.png", "learning_rate.png", "metrics.png", "confusion_matrix.png"}
LEAVES_OPEN = {"meta", "input"}  # elements without an end


class Page(HTMLParser):
    """What a browser would make of a page: its elements with their attributes, and its text."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.source = path.read_text(encoding="utf-8")
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(self.source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in LEAVES_OPEN:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data

    def all(self, *tags: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.elements if tag in tags]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = finetune_folder(tmp_path_factory.mktemp("runs") / "mine")
    write_finetune_report(folder, finetune_result(), RECIPE)
    return folder


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evaluations") / "mine"
    write_eval_report(folder, eval_report(), iter(predictions()))
    return folder


@pytest.fixture(params=["run", "evaluation"])
def page(request: pytest.FixtureRequest) -> Page:
    return Page(request.getfixturevalue(request.param) / "report.html")


def test_a_run_gets_its_files_and_no_others(run: Path) -> None:
    given = {"metrics.jsonl", "samples.jsonl"}
    assert {path.name for path in run.iterdir()} - given == {"report.html", "README.md", *PICTURES}


def test_pictures_show_something(run: Path) -> None:
    from PIL import Image

    for name in PICTURES:
        with Image.open(run / name) as picture:
            assert picture.width > 500
            colours = picture.convert("RGB").getcolors(picture.width * picture.height)
            assert len(colours or []) > 20, name


def test_a_page_loads_nothing_and_runs_nothing(page: Page) -> None:
    assert not page.all("script", "link", "iframe", "img", "object", "image", "base", "form")
    # Even `xmlns` is gone; the one address is that in the hostile text.
    assert set(re.findall(r"\w+://[^\s\"<]*", page.source)) == {"http://x.test/y.png)"}
    links = [str(a["href"]) for _, a in page.elements if a.get("href")]
    assert len(links) > 5
    ids = {a["id"] for _, a in page.elements if a.get("id")}
    assert all(link.startswith("#") and link[1:] in ids for link in links)
    assert not [key for _, a in page.elements for key in a if key.startswith("on") or key == "src"]
    policy = [m["content"] for m in page.all("meta") if m.get("http-equiv")]
    assert policy == ["default-src 'none'; style-src 'unsafe-inline'"]


def test_a_page_is_whole_html_with_ids_of_their_own(page: Page) -> None:
    assert page.open == []
    counts = Counter(a["id"] for _, a in page.elements if a.get("id"))
    assert max(counts.values()) == 1
    assert page.all("html") == [{"lang": "en"}]
    references = " ".join(str(a["aria-labelledby"]) for _, a in page.elements
                          if "aria-labelledby" in a)  # fmt: skip
    assert set(references.split()) <= set(counts)


def test_foreign_text_is_shown_as_it_is_and_its_control_characters_are_seen(page: Page) -> None:
    assert visible(HOSTILE) in page.text
    assert "\x1b" not in page.source
    assert "\u202e" not in page.source
    assert "\\x1b[2J a\\u202eb" in page.text
    assert LABELS[0] in page.text


def test_charts_have_text_for_those_who_cannot_see_them(page: Page) -> None:
    charts = page.all("svg")
    assert len(charts) >= 3
    assert all(chart["role"] == "img" and chart["aria-labelledby"] for chart in charts)
    assert len(page.all("title")) == len(charts) + 1


def test_charts_have_the_colours_of_the_page_only(page: Page) -> None:
    drawn = page.source[page.source.index("</style>") :]
    colours = re.findall(r"(?:fill|stroke): ?([^;\"]+)", drawn)
    assert len(colours) > 50
    variables = {f"var(--{name})" for name in Palette.__dataclass_fields__}
    assert set(colours) <= {*variables, "none"}
    assert not any(slot in page.source for slot in vars(SLOTS).values())


def test_equal_runs_get_equal_files(run: Path, tmp_path: Path) -> None:
    again = finetune_folder(tmp_path / "mine")
    write_finetune_report(again, finetune_result(), RECIPE)
    for path in run.iterdir():
        assert (again / path.name).read_bytes() == path.read_bytes(), path.name


def test_scores_and_intervals_of_the_report_are_in_the_page(evaluation: Path) -> None:
    for text in (Page(evaluation / "report.html").text, (evaluation / "report.md").read_text()):
        for score in eval_report()["metrics"].values():
            if isinstance(score, dict) and score["value"] is not None:
                assert number(score["value"]) in text
                assert f"{number(score['low'])} to {number(score['high'])}" in text
    assert "0.8725" in text
    assert "0.8495 to 0.8955" in text


def test_samples_are_in_the_page_step_by_step(run: Path) -> None:
    page = Page(run / "report.html")
    details = page.all("details")
    assert len(details) == 8
    assert ["open" in one for one in details] == [False] * 7 + [True]
    assert "was quiet at step 50." in page.text
    assert "was quiet at step 400." in page.text


@pytest.mark.parametrize("log", ["", '{"step": 1, "loss": NaN}\n'], ids=["empty", "nan"])
def test_every_optional_part_of_a_run_may_be_absent(tmp_path: Path, log: str) -> None:
    (tmp_path / "metrics.jsonl").write_text(log, encoding="utf-8")
    write_finetune_report(tmp_path, {}, "")
    assert {p.name for p in tmp_path.iterdir()} == {"metrics.jsonl", "report.html", "README.md"}
    assert "was not scored" in Page(tmp_path / "report.html").text


def test_a_run_of_one_step_has_its_curves(tmp_path: Path) -> None:
    lines = [{"step": 1, "loss": 2.0, "learning_rate": 0.0}, {"step": 1, "eval_perplexity": 8.5}]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (tmp_path / "metrics.jsonl").write_text(text, encoding="utf-8")
    write_finetune_report(tmp_path, finetune_result(confusion_matrix=None), RECIPE)
    assert {p.name for p in tmp_path.glob("*.png")} == PICTURES - {"confusion_matrix.png"}
    assert "The perplexity is 8.5000 at step 1." in Page(tmp_path / "report.html").text


def test_a_torn_log_is_named_with_its_line(tmp_path: Path) -> None:
    log = tmp_path / "metrics.jsonl"
    log.write_text('{"step": 1, "loss": 2.0}\n{"step": 2, "lo', encoding="utf-8")
    with pytest.raises(RunError, match=r"metrics\.jsonl:2: not JSON"):
        write_finetune_report(tmp_path, finetune_result(), RECIPE)


def test_a_file_is_whole_or_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_eval_report(tmp_path, eval_report(), [])
    before = (tmp_path / "report.json").read_bytes()

    def full_disk(path: Path, content: bytes) -> int:
        with path.open("wb") as file:
            file.write(content[:10])
        raise OSError("no space left")

    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(OSError, match="no space"):
        write_eval_report(tmp_path, eval_report(n_rows=1), [])
    assert (tmp_path / "report.json").read_bytes() == before


def test_report_json_is_the_report_and_keeps_to_the_schema(evaluation: Path) -> None:
    import jsonschema

    schema = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    made = json.loads((evaluation / "report.json").read_text(encoding="utf-8"))
    assert made == json.loads(json.dumps(eval_report()))
    jsonschema.validate(made, schema)


WRONG: dict[str, dict[str, Any]] = {
    "unknown key": {"acuracy": 0.5},
    "interval without an end": {"metrics": {"accuracy": {"value": 1.0, "low": 0.5}}},
    "score as text": {"metrics": {"accuracy": "0.5"}},
    "negative count": {"confusion_matrix": [[-1]]},
    "confidence above one": {"reliability": [{"confidence": 2, "accuracy": 1, "count": 1}]},
    "half a hash": {"data_sha256": "ab"},
    "label without support": {"per_class": {"a": {"precision": 1, "recall": 1, "f1": 1}}},
}


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG.keys())
def test_the_schema_refuses(change: dict[str, Any]) -> None:
    import jsonschema

    schema = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(eval_report() | change, schema)


def test_numbers_that_json_lacks_become_null_and_lone_surrogates_survive(tmp_path: Path) -> None:
    report = eval_report(metrics={"loss": float("nan")}, labels=["\ud800", "b", "c"])
    write_eval_report(tmp_path, report, [{"text": "\ud83d", "nll": 3.0}])
    made = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert made["metrics"] == {"loss": None}
    assert made["labels"][0] == "\ud800"
    assert "\\ud83d" in Page(tmp_path / "report.html").text


def test_markdown_cells_and_fences_hold_any_text(evaluation: Path) -> None:
    text = (evaluation / "report.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert len(rows) > 20
    assert all(row.endswith(" |") for row in rows)
    assert "<b>" not in "".join(rows).replace("\\<b\\>", "")
    assert escaped("a|b\n*c*") == r"a\|b \*c\*"
    assert fenced("``` x ````") == "`````\n``` x ````\n`````"


def test_no_error_is_news(tmp_path: Path) -> None:
    right = [row for row in predictions() if not row["error"] and row["prediction"] == row["gold"]]
    write_eval_report(tmp_path, eval_report(), right)
    assert "No row is wrong." in Page(tmp_path / "report.html").text
