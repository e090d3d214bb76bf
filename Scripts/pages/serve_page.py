"""Drives the page of `clip serve` in headless Chromium, and takes screenshots of it.

    python3 -m venv VENV && VENV/bin/pip install selenium
    VENV/bin/python Scripts/pages/serve_page.py --clip .build/release/clip -o FOLDER

Indexes copies of Examples/*.jpg with `tiny`, starts servers with an index, with an API key, below a
base path and without an index, and uses the page as people do: types, drops, pastes and chooses an
image, clicks "More like this", subtracts terms, goes back, opens a shared link in a new browser,
uses the keyboard alone, a window of 400 pixels, and the dark theme. Prints each check; the exit
status is 1 if one fails. Needs Chromium and chromedriver (Debian's packages `chromium` and
`chromium-driver`). Not part of CI.
"""

import argparse
import base64
import contextlib
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

from selenium import webdriver
from selenium.webdriver import ActionChains
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXAMPLES = sorted((ROOT / "Examples").glob("*.jpg"))
KEY = "the-key-of-this-test"
failures = 0


def check(name, is_right, found=""):
    global failures
    failures += not is_right
    print(f"{'right' if is_right else 'WRONG'}: {name}{f': {found}' if found != '' else ''}", flush=True)


@contextlib.contextmanager
def server(clip, *arguments, base=""):
    """Runs `clip serve` on a free port and gives the address of its page."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [clip, "serve", "--port", str(port), "--log", "none", *map(str, arguments)])
    try:
        for _ in range(100):
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            if process.poll() is not None:
                sys.exit(f"clip serve ended with status {process.returncode}")
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}{base}/"
    finally:
        process.terminate()
        check("the server ends with status 0", process.wait(40) == 0, process.returncode)


class Page:
    """A browser with one page of the server."""

    def __init__(self, address, folder, size=(1280, 820), dark=False, touch=False):
        options = webdriver.ChromeOptions()
        for argument in ("--headless=new", "--no-sandbox", "--hide-scrollbars",
                         f"--window-size={size[0]},{size[1]}"):
            options.add_argument(argument)
        options.binary_location = shutil.which("chromium") or "/usr/bin/chromium"
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.folder = folder
        self.driver = webdriver.Chrome(
            options=options, service=Service(shutil.which("chromedriver") or "/usr/bin/chromedriver"))
        self.emulate("Emulation.setDeviceMetricsOverride", width=size[0], height=size[1],
                     deviceScaleFactor=2 if touch else 1, mobile=touch)
        self.emulate("Emulation.setTouchEmulationEnabled", enabled=touch)
        self.emulate("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])
        self.driver.get(address)

    def emulate(self, command, **parameters):
        self.driver.execute_cdp_cmd(command, parameters)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.driver.quit()

    def js(self, code, *arguments):
        return self.driver.execute_script(code, *arguments)

    def all(self, selector):
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector):
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def keys(self, *keys):
        ActionChains(self.driver).send_keys(*keys).perform()

    def until(self, name, code):
        """Waits until an expression of JavaScript is true."""
        value = None
        for _ in range(150):
            value = self.js(f"return {code}")
            if value:
                return value
            time.sleep(0.1)
        check(name, False, f"never true: {code}; {self.js('return document.body.innerText')[:300]!r}")
        return value

    def settle(self, name="results arrive"):
        """Waits for the results of a search."""
        time.sleep(0.1)
        self.until(name, "!document.body.classList.contains('busy')")

    def images(self):
        """Waits until the images in the window are visible."""
        self.until("thumbnails arrive", "[...document.querySelectorAll('.tile img')].filter(image => "
                   "image.getBoundingClientRect().top < innerHeight).every(image => "
                   "image.classList.contains('here'))")
        time.sleep(0.5)

    def shot(self, name):
        self.driver.save_screenshot(str(self.folder / f"serve-{name}.png"))

    def names(self):
        return self.js("return [...document.querySelectorAll('.tile .caption')].map(p => p.title)")

    def terms(self):
        return self.js("return [...document.querySelectorAll('.chip')].map(chip => (chip.classList"
                       ".contains('added') ? '+' : '-') + (chip.querySelector('span')?.textContent ?? 'image'))")

    def boxes(self):
        return self.js("return [...document.querySelectorAll('.tile')].map(tile => { const box = "
                       "tile.getBoundingClientRect(); return [box.left, box.top + scrollY, box.width, box.height] })")

    def fits(self):
        return self.js("return document.documentElement.scrollWidth <= innerWidth && "
                       "[...document.querySelectorAll('.tile, #box, #drop, #bars')].every(node => { const box = "
                       "node.getBoundingClientRect(); return box.left >= 0 && box.right <= innerWidth + 1 })")

    def end(self, name, expected=()):
        """Checks the console: a violation of the policy is an error there."""
        errors = [entry["message"] for entry in self.driver.get_log("browser")
                  if entry["level"] == "SEVERE" and not any(text in entry["message"] for text in expected)]
        check(f"{name}: no error in the console", not errors, errors[:3] or "")


# Gives the page a file as the clipboard or a drop would.
GIVE = """
const bytes = Uint8Array.from(atob(arguments[1]), c => c.charCodeAt(0)), transfer = new DataTransfer();
transfer.items.add(new File([bytes], arguments[2], { type: arguments[3] }));
if (arguments[0] === "paste") dispatchEvent(new ClipboardEvent("paste", { clipboardData: transfer, cancelable: true }));
else for (const type of ["dragover", "drop"])
  document.body.dispatchEvent(new DragEvent(type, { dataTransfer: transfer, bubbles: true, cancelable: true }));
"""


def give(page, how, path, media="image/jpeg"):
    page.js(GIVE, how, base64.b64encode(path.read_bytes()).decode(), path.name, media)
    time.sleep(0.3)
    page.settle()


def check_headers(address):
    request = urllib.request.Request(address, headers={"Accept": "text/html,*/*;q=0.8"})
    with urllib.request.urlopen(request) as answer:
        policy, tag = answer.headers["Content-Security-Policy"], answer.headers["ETag"]
    check("the page has a strict policy", "default-src 'none'" in policy and "unsafe" not in policy, policy)
    request.add_header("If-None-Match", tag)
    try:
        status = urllib.request.urlopen(request).status
    except urllib.error.HTTPError as error:
        status = error.code
    check("a known page is not sent again", status == 304, status)
    with urllib.request.urlopen(urllib.request.Request(address, headers={"Accept": "*/*"})) as answer:
        body = answer.read()
    check("programs get JSON", body == b'{"message":"Immich ML"}', body)


def search(address, folder, theme):
    with Page(address, folder, dark=theme == "dark") as page:
        page.until("the page starts", "!document.getElementById('search').hidden")
        check(f"{theme}: the theme is followed", page.js("return getComputedStyle(document.body).backgroundColor")
              == ("rgb(20, 21, 24)" if theme == "dark" else "rgb(255, 255, 255)"))
        check("the box has the focus", page.js("return document.activeElement.id") == "text")
        page.shot(f"start-{theme}")
        page.keys("a dog on grass", Keys.ENTER)
        page.settle()
        before, names = page.boxes(), page.names()
        page.images()
        check("typing finds images", len(names) == 50, page.one("#status").text)
        check("tiles have their size before their images", before == page.boxes())
        check("the address has the text", page.driver.current_url.endswith("#q=a+dog+on+grass"),
              page.driver.current_url)
        page.shot(f"results-{theme}")

        tile = page.all(".tile")[2]
        ActionChains(page.driver).move_to_element(tile).perform()
        time.sleep(0.3)
        page.shot(f"hover-{theme}")
        tile.find_element(By.CSS_SELECTOR, "button[aria-label^='More like this']").click()
        page.settle()
        check("more like this adds the image", page.terms() == ["+a dog on grass", "+image"], page.terms())
        check("its content is first", page.names()[0].split("-")[-1] == names[2].split("-")[-1], page.names()[0])
        more = page.names()
        page.js("scrollTo(0, 300)")
        time.sleep(0.5)
        page.one("#text").send_keys("-trees", Keys.ENTER)
        page.settle()
        check("a minus subtracts", page.terms()[-1] == "-trees", page.terms())
        page.all(".toggle")[1].click()
        page.settle()
        check("a term is toggled", page.terms() == ["+a dog on grass", "-image", "-trees"], page.terms())
        page.images()
        page.shot(f"terms-{theme}")
        shared, list_of_names = page.driver.current_url, page.names()
        page.driver.back()
        page.driver.back()
        page.settle()
        check("back returns to earlier results", page.names() == more, page.terms())
        check("and to their place", page.js("return scrollY") == 300, page.js("return scrollY"))
        page.driver.forward()
        page.driver.forward()
        page.settle()
        check("forward, too", page.names() == list_of_names, page.terms())
        page.driver.refresh()
        page.until("results after a reload", "document.querySelectorAll('.tile').length")
        check("a reload keeps the search", page.names() == list_of_names)
        with Page(shared, folder) as other:
            other.until("results of a shared link", "document.querySelectorAll('.tile').length")
            check("a shared link shows the same", other.names() == list_of_names, shared)
            other.end("shared link")

        page.one("#clear").click()
        check("clear returns to the start", page.js("return document.body.classList.contains('start')"))
        for how in ("drop", "paste"):
            give(page, how, EXAMPLES[0])
            first = page.one(".show").get_attribute("aria-label")
            check(f"{how}: the image finds itself", "cosine 1.00" in first or "cosine 0.99" in first, first)
            page.one("#clear").click()
        page.one("#file").send_keys(str(EXAMPLES[1]))
        page.until("a chosen file", "document.querySelectorAll('.tile').length")
        check("a chosen image is a term", page.terms() == ["+image"], page.terms())
        page.one("#share").click()
        check("own images cannot be shared", "cannot be shared" in page.one("#share").text, page.one("#share").text)
        give(page, "drop", ROOT / "README.md", "text/markdown")
        check("other files are refused", "is not an image" in page.one("#notice").text, page.one("#notice").text)

        total = page.js("return Number(document.getElementById('about').textContent.replace(/\\D/g, ''))")
        page.js("document.getElementById('more').click()")
        page.settle()
        check("show more shows more", len(page.names()) == min(100, total), len(page.names()))
        page.end(f"search, {theme}")


def keyboard(address, folder):
    with Page(address, folder) as page:
        page.until("the page starts", "!document.getElementById('search').hidden")
        active = "document.activeElement.closest('.tile') ? [...document.querySelectorAll('.tile')]" \
                 ".indexOf(document.activeElement.closest('.tile')) : document.activeElement.id"
        page.keys("food", Keys.ENTER)
        page.settle()
        page.until("the image of a tile is loaded",
                   "(image => image && image.complete && image.naturalWidth > 0)(document.querySelector('.tile img'))")
        page.keys(Keys.ARROW_DOWN)
        check("keys: down enters the grid", page.js(f"return {active}") == 0)
        page.keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_DOWN)
        below = page.js(f"return {active}")
        rows = page.boxes()
        check("keys: arrows move by rows", rows[below][1] > rows[2][1], below)
        page.images()
        page.shot("keyboard")
        page.keys(Keys.ARROW_UP, Keys.HOME, Keys.ENTER)
        check("keys: enter opens the lightbox", page.js("return document.getElementById('lightbox').open"))
        page.keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_LEFT)
        page.until("the large image", "document.getElementById('large').complete")
        time.sleep(1)
        page.shot("lightbox")
        check("keys: arrows turn the page", " 2 of " in page.one("#facts").text, page.one("#facts").text)
        page.keys(Keys.ESCAPE)
        time.sleep(0.3)
        check("keys: escape returns to the tile", page.js(f"return {active}") == 1)
        page.keys(Keys.TAB)
        label = page.js("return document.activeElement.getAttribute('aria-label')")
        check("keys: tab reaches its actions", label.startswith("More like this"), label)
        page.keys(Keys.ENTER)
        page.settle()
        check("keys: the search has the image", page.terms() == ["+food", "+image"], page.terms())
        page.until("focus on the first result", f"({active}) === 0")
        page.keys("/")
        check("keys: slash returns to the box", page.js(f"return {active}") == "text")
        page.keys(Keys.BACKSPACE)
        page.settle()
        check("keys: backspace removes a term", page.one("#text").get_attribute("value") == "food", page.terms())
        page.end("keyboard")


def phone(address, folder, theme):
    with Page(address, folder, (400, 850), theme == "dark", touch=True) as page:
        page.until("the page starts", "!document.getElementById('search').hidden")
        check("400 px: the start fits", page.fits())
        page.shot(f"phone-start-{theme}")
        page.keys("a dog on the beach -people", Keys.ENTER)
        page.settle()
        page.images()
        check("400 px: the results fit", page.fits(), page.terms())
        page.shot(f"phone-results-{theme}")
        page.all(".show")[1].click()
        time.sleep(1.5)
        check("400 px: the lightbox fits", page.js("return [...document.querySelectorAll('#large, .pill, #close')]"
              ".every(node => { const box = node.getBoundingClientRect(); return box.left >= 0 && "
              "box.right <= 401 && box.bottom <= innerHeight + 1 })"))
        page.shot(f"phone-lightbox-{theme}")
        page.end("phone")


def with_key(address, folder):
    with Page(address, folder) as page:
        page.until("the dialog for the key", "document.getElementById('key').open")
        page.shot("key")
        page.keys("wrong", Keys.ENTER)
        time.sleep(0.5)
        check("a wrong key is refused", "does not know" in page.one("#key-reason").text)
        page.keys(KEY, Keys.ENTER)
        page.until("the page starts", "!document.getElementById('search').hidden")
        page.keys("a cat", Keys.ENTER)
        page.settle()
        page.images()
        check("with a key, images are fetched", page.js("return document.querySelector('.tile img').src").startswith("blob:"))
        page.driver.refresh()
        page.until("results after a reload", "document.querySelectorAll('.tile').length")
        check("the key is kept in the tab", not page.js("return document.getElementById('key').open"))
        page.end("key", expected=["status of 401"])


def zeroshot(address, folder, theme, size=(1280, 820), touch=False):
    name = "phone-zeroshot" if touch else "zeroshot"
    with Page(address, folder, size, theme == "dark", touch) as page:
        page.until("the page starts", "!document.getElementById('zeroshot').hidden")
        page.shot(f"{name}-start-{theme}")
        give(page, "drop", next(path for path in EXAMPLES if path.name == "dog.jpg"))
        page.until("bars", "document.querySelectorAll('#bars li').length === 4")
        time.sleep(0.8)
        parts = page.js("return [...document.querySelectorAll('.bar')].map(b => +b.style.getPropertyValue('--part'))")
        check("zero-shot: probabilities add up to 1", abs(sum(parts) - 1) < 1e-3, parts)
        check("zero-shot: the best is first", parts == sorted(parts, reverse=True))
        check("zero-shot: the demonstration model is called so", page.one("#demonstration").is_displayed())
        check("zero-shot: the page fits", page.fits())
        page.shot(f"{name}-{theme}")
        page.one("#labels").send_keys(", a red car")
        page.until("a bar for a new label", "document.querySelectorAll('#bars li').length === 5")
        check("zero-shot: typing adds a bar", True, page.one("#said").text)
        page.end(f"zero-shot, {theme}")


def main():
    parser = argparse.ArgumentParser(description="Drives the page of clip serve in Chromium.")
    parser.add_argument("--clip", required=True, help="the command")
    parser.add_argument("-o", "--output", type=pathlib.Path, required=True, help="the folder of the screenshots")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        images = pathlib.Path(scratch, "Photos")
        for copy in range(10):
            (images / f"album {copy}").mkdir(parents=True)
            for path in EXAMPLES:
                shutil.copy(path, images / f"album {copy}" / f"{copy}-{path.name}")
        subprocess.run([options.clip, "index", str(images), "--model", "tiny", "--quiet"], check=True)
        with server(options.clip, "--index", images) as address:
            check_headers(address)
            for theme in ("light", "dark"):
                search(address, options.output, theme)
                phone(address, options.output, theme)
            keyboard(address, options.output)
        with server(options.clip, "--index", images, "--api-key", KEY) as address:
            with_key(address, options.output)
        with server(options.clip, "--index", images, "--base-path", "/clip", base="/clip") as address:
            keyboard(address, options.output)
    with server(options.clip) as address:
        for theme in ("light", "dark"):
            zeroshot(address, options.output, theme)
        zeroshot(address, options.output, "light", (400, 850), touch=True)
    print(f"{failures} failures" if failures else "all right")
    sys.exit(1 if failures else 0)


main()
