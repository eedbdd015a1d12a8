"""The reports in a real browser: Chromium, headless, in both colour schemes, without a network."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, sync_playwright

from hfcli.render.report.evaluate import write_eval_report
from hfcli.render.report.finetune import write_finetune_report
from hfcli.render.report.palette import DARK, LIGHT
from tests.helpers import ROOT
from tests.reports import (
    RECIPE,
    eval_report,
    finetune_folder,
    finetune_result,
    language_report,
    predictions,
)

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--no-sandbox",  # CI is root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND",
)
CONTRAST = (ROOT / "tests" / "e2e" / "contrast.js").read_text(encoding="utf-8")
SCHEMES = {"light": LIGHT, "dark": DARK}
PAGES = ("finetune", "evaluation", "language")
CASES = [(name, scheme) for name in PAGES for scheme in SCHEMES]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One for all tests. Without Chromium they skip; in CI its absence is a failure."""
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        reason = f"no browser to look at the reports with: none of {', '.join(NAMES)}"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=path, args=list(FLAGS))
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A report of each kind."""
    folder = tmp_path_factory.mktemp("reports")
    write_finetune_report(finetune_folder(folder / "finetune"), finetune_result(), RECIPE)
    write_eval_report(folder / "evaluation", eval_report(), predictions())
    write_eval_report(folder / "language", *language_report())
    return {name: folder / name / "report.html" for name in PAGES}


class Opened:
    """A page that was opened, and what it asked for and complained about."""

    def __init__(self, browser: Browser, path: Path, **options: Any) -> None:
        self.said: list[str] = []
        self.asked: list[str] = []
        self.path = path
        self.context = browser.new_context(**options)
        self.page: Page = self.context.new_page()
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", self._request)
        self.page.goto(path.as_uri())

    def _console(self, message: ConsoleMessage) -> None:
        self.said.append(message.text)

    def _request(self, request: Request) -> None:
        self.asked.append(request.url)

    def __enter__(self) -> Opened:
        return self

    def __exit__(self, *error: object) -> None:
        self.context.close()

    def background(self) -> str:
        return str(self.page.evaluate("getComputedStyle(document.body).backgroundColor"))


@pytest.mark.parametrize(("name", "scheme"), CASES)
def test_the_page_can_be_read_by_everyone(
    browser: Browser, reports: dict[str, Path], name: str, scheme: Any
) -> None:
    with Opened(browser, reports[name], color_scheme=scheme) as opened:
        assert opened.asked == [reports[name].as_uri()]
        assert opened.said == []
        assert opened.background() == _css(SCHEMES[scheme].surface)
        found = Axe().run(opened.page)
        assert found.violations_count == 0, found.generate_report()
        assert len(found.response["passes"]) > 20
        texts = opened.page.evaluate(CONTRAST)
        assert len(texts) > 60
        assert sum(text["svg"] for text in texts) > 10 or name == "language"
        assert [text for text in texts if not text["hit"] or text["contrast"] < 4.5] == []


@pytest.mark.parametrize("name", PAGES)
def test_both_schemes_show_the_same_page_in_other_colours(
    browser: Browser, reports: dict[str, Path], name: str
) -> None:
    shots = {}
    for scheme in ("light", "dark"):
        with Opened(browser, reports[name], color_scheme=scheme) as opened:
            shots[scheme] = opened.page.screenshot(full_page=True)
    pictures = {scheme: Image.open(io.BytesIO(shot)) for scheme, shot in shots.items()}
    assert pictures["light"].size == pictures["dark"].size
    most = {}
    for scheme, picture in pictures.items():
        pixels = picture.width * picture.height
        colours = sorted(picture.convert("RGB").getcolors(pixels) or [], reverse=True)
        assert len(colours) > 50, "the page is not blank"
        count, most[scheme] = colours[0]
        assert pixels / 2 < count < pixels
    assert most == {scheme: _rgb(palette.surface) for scheme, palette in SCHEMES.items()}


@pytest.mark.parametrize("name", PAGES)
def test_the_keyboard_reaches_everything(
    browser: Browser, reports: dict[str, Path], name: str
) -> None:
    with Opened(browser, reports[name], color_scheme="light") as opened:
        page = opened.page
        order = _tab_through(page)
        assert order[:2] == ["a.skip", "#scheme-system"]
        for selector in ("nav a", ".scroll", "summary"):
            count = page.locator(selector).count()
            assert count > 0 or selector == "summary"
            assert sum(page.evaluate(_MATCHES, [one, selector]) for one in order) == count
        page.focus("#scheme-system")
        for background in (LIGHT.surface, DARK.surface):  # light, then dark
            page.keyboard.press("ArrowRight")
            assert opened.background() == _css(background)
        page.focus("summary")
        was = page.evaluate("document.activeElement.parentElement.open")
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.parentElement.open") is not was


def test_the_switch_wins_over_the_system(browser: Browser, reports: dict[str, Path]) -> None:
    with Opened(browser, reports["finetune"], color_scheme="dark") as opened:
        opened.page.check("#scheme-light")
        assert opened.background() == _css(LIGHT.surface)
        opened.page.check("#scheme-system")
        assert opened.background() == _css(DARK.surface)


def test_the_skip_link_leads_past_the_navigation(
    browser: Browser, reports: dict[str, Path]
) -> None:
    with Opened(browser, reports["evaluation"]) as opened:
        opened.page.keyboard.press("Tab")
        opened.page.keyboard.press("Enter")
        opened.page.keyboard.press("Tab")
        assert opened.page.evaluate("document.activeElement.matches('main *')")


@pytest.mark.parametrize("name", PAGES)
def test_a_narrow_window_scrolls_in_one_direction(
    browser: Browser, reports: dict[str, Path], name: str
) -> None:
    """WCAG 2.1, 1.4.10: at a width of 320 pixels only tables scroll sideways."""
    with Opened(browser, reports[name], viewport={"width": 320, "height": 640}) as opened:
        assert opened.page.evaluate("document.documentElement.scrollWidth") <= 320


def test_a_page_without_its_style_or_scripts_still_says_everything(
    browser: Browser, reports: dict[str, Path]
) -> None:
    with Opened(browser, reports["evaluation"], java_script_enabled=False) as opened:
        text = opened.page.locator("main").inner_text()
        for expected in ("0.8495 to 0.8955", "270 (90.0\u00a0%)", "the text is empty"):
            assert expected in text


# Whether the element that a path leads to matches a selector.
_MATCHES = "([path, selector]) => document.querySelector(path).matches(selector)"
_PATH = """() => {
  const active = document.activeElement;
  if (active === document.body || active === document.documentElement) return null;
  if (active.matches('a.skip')) return 'a.skip';
  if (active.id) return '#' + active.id;
  if (active.tagName === 'A') return `a[href="${active.getAttribute('href')}"]`;
  active.id = 'reached-' + document.querySelectorAll('[id^=reached-]').length;
  return '#' + active.id;
}"""


def _tab_through(page: Page) -> list[str]:
    """A selector for every element that Tab stops at, in order, until it leaves the page."""
    order: list[str] = []
    for _ in range(300):
        page.keyboard.press("Tab")
        path = page.evaluate(_PATH)
        if path is None or path in order:
            return order
        order.append(path)
    raise AssertionError("Tab never leaves the page")


def _rgb(colour: str) -> tuple[int, ...]:
    return tuple(int(colour[i : i + 2], 16) for i in (1, 3, 5))


def _css(colour: str) -> str:
    return f"rgb({', '.join(map(str, _rgb(colour)))})"
