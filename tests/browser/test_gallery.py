"""The gallery site, as `make gallery` left it: complete, self-contained, found by search, readable on every screen."""

import ast
import functools
import re
import threading
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote, unquote, urldefrag, urljoin, urlsplit

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[2]
SITE = ROOT / "runs/gallery"
LOADED = [("link", "href"), *((tag, "src") for tag in ("script", "img", "source", "video", "audio", "iframe", "embed"))]
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
FRONT = "docs/index.html"
LARGEST = 2_000_000  # bytes of a page with all that it loads
# photographed in every look, the others in daylight: one page of each kind
SAMPLES = {FRONT, "docs/results.html", "docs/figures.html", "notebooks/06_lmdf.html", "docs/api/dtse_core.lmdf.html"}


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def site():
    """The site's address; it is served on a free port."""
    assert (SITE / "index.html").exists(), "runs/gallery is missing; run make gallery"
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=SITE)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


class Page(HTMLParser):
    """What a page has: its tags with their attributes, the words, and the first cell of each row of a table."""

    def __init__(self, html: str):
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text, self.rows, self.cells = "", [], 0
        self.feed(html)
        self.ids = {values["id"] for _, values in self.tags if "id" in values}

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, {key: value or "" for key, value in attributes}))
        self.cells = {"tr": 0, "td": self.cells + 1}.get(tag, self.cells)
        if tag == "td" and self.cells == 1:
            self.rows.append("")

    def handle_endtag(self, tag):
        self.cells += tag == "td"

    def handle_data(self, data):
        self.text += data
        if self.cells == 1:
            self.rows[-1] += data

    def all(self, tag: str, key: str) -> list[str]:
        return [values[key] for kind, values in self.tags if kind == tag and key in values]


@pytest.fixture(scope="module")
def pages() -> dict[str, Page]:
    """All pages by their path, but for the first, which only leads to the front page."""
    files = (file for file in sorted(SITE.rglob("*.html")) if file != SITE / "index.html")
    return {str(file.relative_to(SITE)): Page(file.read_text(encoding="utf-8")) for file in files}


def foreign(address: str) -> bool:
    return bool(urlsplit(address).netloc)


def test_every_notebook_module_figure_and_choice_has_its_place(pages):
    for file in (ROOT / "notebooks").glob("*.ipynb"):
        text = pages[f"notebooks/{file.stem}.html"].text
        cells = [cell for cell in nbformat.read(file, as_version=4).cells if cell.cell_type == "code"]
        printed = [o.text for cell in cells for o in cell.outputs if o.output_type == "stream"]
        missing = [line for out in printed for line in out.splitlines() if line.strip() not in text]
        assert not missing, f"{file.name}: its stored output {missing[0]!r} is not on the page"
    for file in (f for f in (ROOT / "dtse_core").rglob("*.py") if f.stem != "__main__"):  # commands have no API
        module = ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        page = pages[f"docs/api/{module}.html"]
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
                assert f"{module}.{node.name}" in page.ids
    shown = {Path(source).name for source in pages["docs/figures.html"].all("img", "src")}
    assert {file.name for file in (ROOT / "figures").glob("*.svg")} <= shown
    choices = re.findall(r"(?m)^\| (\d+) \|", (ROOT / "docs/register.md").read_text(encoding="utf-8"))
    assert len(choices) > 15
    assert [row for row in pages["docs/register.html"].rows if row.isdigit()] == choices
    assert "../_images/follow.gif" in pages[FRONT].all("img", "src")


def test_the_index_leads_from_each_notebook_to_what_it_defines(pages):
    links = pages["docs/paper_to_code.html"].all("a", "href")
    for file in (ROOT / "notebooks").glob("[0-9]*.ipynb"):
        assert f"../notebooks/{file.stem}.html" in links
        tags = {t for cell in nbformat.read(file, as_version=4).cells for t in cell.metadata.get("tags", [])}
        for name in (t.removeprefix("define:") for t in tags if re.match("define:[^_]", t)):
            assert any(link.endswith(f".{name}") for link in links), f"{file.name} defines {name}, not so the index"


def test_nothing_is_loaded_from_another_host(pages):
    for name, page in pages.items():
        loaded = [address for tag, key in LOADED for address in page.all(tag, key)]
        assert not [address for address in loaded if foreign(address)], name
    for file in [*SITE.rglob("*.css"), *SITE.rglob("*.svg"), *SITE.rglob("*.html")]:
        assert not re.search(r"(@import|url\()[\s\"']*(https?:)?//", file.read_text(encoding="utf-8")), file


def test_internal_links_resolve(pages):
    dead = []
    for name, page in pages.items():
        for link in page.all("a", "href"):
            path, place = urldefrag(link)
            target = unquote(urlsplit(urljoin(f"/{name}", path)).path)[1:] if path else name
            if foreign(link) or link.startswith("mailto:") or place in ("", "top") and (SITE / target).is_file():
                continue
            if target not in pages or unquote(place) not in pages[target].ids:
                dead.append(f"{name} -> {link}")
    assert not dead


def test_every_page_loads_whole_and_never_scrolls_sideways(site, pages, browser):
    problems, size = [], [0]
    context = browser.new_context(viewport=PHONE)
    page = context.new_page()
    beyond = "document.scrollingElement.scrollWidth - document.scrollingElement.clientWidth"

    def response(r):
        size[0] += int(r.headers.get("content-length", 0))
        if r.status >= 400 or not r.url.startswith(site):
            problems.append(f"{page.url}: {r.status} {r.url}")

    page.on("console", lambda m: m.type in ("error", "warning") and problems.append(f"{page.url}: {m.text}"))
    page.on("pageerror", lambda e: problems.append(f"{page.url}: {e}"))
    # a browser that is slow to fetch a page's icon gives it up when it leaves the page
    left = "net::ERR_ABORTED"
    page.on("requestfailed", lambda r: r.failure != left and problems.append(f"{page.url}: no answer from {r.url}"))
    page.on("response", response)
    context.route(lambda url: not url.startswith((site, "data:")), lambda route: route.abort())
    for name in pages:
        size[0] = 0
        page.goto(site + name, wait_until="load")
        page.evaluate("() => window.MathJax?.startup?.promise")
        for screen in (DESKTOP, PHONE):
            page.set_viewport_size(screen)
            if wide := page.evaluate(beyond):
                problems.append(f"{name} is {wide} pixels wider than a screen of {screen['width']}")
        if page.locator("mjx-merror").count():
            problems.append(f"{name} has a formula that cannot be set")
        if size[0] > LARGEST:
            problems.append(f"{name} loads {size[0]} bytes")
    context.close()
    assert not problems


def test_search_finds_the_dynamic_filter(site, browser, pictures):
    page = browser.new_page(viewport=DESKTOP)
    page.goto(site)
    page.wait_for_url("**/" + FRONT)  # the address alone leads to the front page
    page.get_by_role("textbox", name="Search").fill("dynamic filter")
    page.keyboard.press("Enter")
    results = page.locator("ul.search li")
    results.filter(has_text="06 · Language-guided dynamic filters").first.wait_for()
    results.filter(has_text="dtse_core.lmdf.dynamic_filter").first.wait_for()
    page.screenshot(path=pictures / "search.png")
    results.filter(has_text="06 · Language-guided dynamic filters").first.locator("a").first.click()
    page.wait_for_url("**/notebooks/06_lmdf.html*")
    page.goto(site + "search.html?q=zzyzx")
    page.get_by_text("did not match any documents").wait_for()
    page.close()


@pytest.mark.parametrize(
    ("words", "first"),
    [
        ("baseline", "benchmarks/baselines/README"),
        ("equal seconds", "docs/results"),
        ("learning rate", "docs/training"),
        ("checkpoint", "dtse_core/checkpoints/tiny/README"),
        ("Colab", "docs/quickstart"),
        ("install", "docs/quickstart"),
    ],
)
def test_a_search_leads_to_the_page_about_it_first(site, browser, words, first):
    page = browser.new_page(viewport=DESKTOP)
    page.goto(f"{site}search.html?q={quote(words)}")
    link = page.locator("ul.search li a").first
    link.wait_for()
    assert link.get_attribute("href").partition("#")[0] == f"{first}.html"
    page.close()


def brightness(color: str) -> float:
    """Of a CSS color rgb(r, g, b), from 0 to 1."""
    r, g, b = (int(x) / 255 for x in re.findall(r"\d+", color)[:3])
    return 0.299 * r + 0.587 * g + 0.114 * b


@pytest.mark.parametrize("look", ["light", "dark", "phone"])
def test_each_look_is_as_named_and_photographed(site, pages, browser, pictures, look):
    assert pages.keys() >= SAMPLES
    scheme = "dark" if look == "dark" else "light"
    context = browser.new_context(color_scheme=scheme, viewport=PHONE if look == "phone" else DESKTOP)
    page = context.new_page()
    for name in pages:
        if re.match(r"_modules/|docs/api/(?!dtse_core\.lmdf)", name):
            continue  # they look alike
        page.goto(site + name, wait_until="load")
        page.evaluate("() => window.MathJax?.startup?.promise")
        ground, ink = page.evaluate(
            "() => { const s = getComputedStyle(document.body); return [s.backgroundColor, s.color] }"
        )
        assert (brightness(ground) < 0.2) == (scheme == "dark"), name
        assert abs(brightness(ground) - brightness(ink)) > 0.6, name
        if look == "light" or name in SAMPLES:
            file = f"{look}_{name.removesuffix('.html').replace('/', '_')}.png"
            page.screenshot(path=pictures / file, full_page=True)
    context.close()


def test_the_button_changes_the_theme_and_the_choice_stays(site, browser):
    page = browser.new_page(viewport=DESKTOP, color_scheme="light")
    page.goto(site + FRONT)
    ground = "getComputedStyle(document.body).backgroundColor"
    seen = set()
    for _ in range(3):  # auto, light, dark
        page.locator("button.theme-toggle:visible").first.click()
        seen.add(brightness(page.evaluate(ground)) < 0.2)
        if True in seen:
            break
    assert True in seen
    page.goto(site + "notebooks/06_lmdf.html")
    assert brightness(page.evaluate(ground)) < 0.2
    page.close()
