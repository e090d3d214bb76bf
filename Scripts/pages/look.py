"""Takes screenshots of the pages of `clip` in headless Chromium, and tests the map by touch.

    python3 -m venv VENV && VENV/bin/pip install websocket-client
    VENV/bin/python Scripts/pages/look.py shots PAGE... -o FOLDER
    VENV/bin/python Scripts/pages/look.py map MAP.html
    VENV/bin/python Scripts/pages/look.py image MAP.html --over NAME \\
        -o Sources/CLIP/CLIP.docc/map.png
    VENV/bin/python Scripts/pages/look.py top PAGE --size 1020x965 \\
        -o Sources/CLIP/CLIP.docc/report.png

`shots` writes one PNG per page for desktop and phone, light and dark. `map` dispatches real touch
and mouse events to a page of `clip map` and fails if the page reacts wrongly. `image` writes the
screenshot of a map with the card of one image open, and `top` that of the beginning of any page, in
a window of the given size. Needs Chromium (Debian's package `chromium`); no network. Not part of
CI.
"""

import argparse
import base64
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request

import websocket

PHONE = (390, 844, 2, True)
DESKTOP = (1280, 800, 1, False)


class Browser:
    """A headless Chromium, and one connection to its DevTools for each page."""

    def __init__(self):
        self.profile = tempfile.mkdtemp()
        self.process = subprocess.Popen(
            [shutil.which("chromium") or "chromium", "--headless", "--no-sandbox",
             "--remote-debugging-port=0",
             "--remote-allow-origins=*", "--hide-scrollbars", f"--user-data-dir={self.profile}",
             "about:blank"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        file = pathlib.Path(self.profile, "DevToolsActivePort")
        while not (file.exists() and file.read_text().count("\n") >= 1):
            time.sleep(0.1)
        self.port = int(file.read_text().split("\n")[0])

    def get(self, path, method="GET"):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/json/{path}", method=method)
        return json.load(urllib.request.urlopen(request))

    def pages(self):
        return [target["url"] for target in self.get("list") if target["type"] == "page"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.profile, ignore_errors=True)


class Tab:
    def __init__(self, browser, path, screen=DESKTOP, dark=False):
        self.socket = websocket.create_connection(
            browser.get("new?about:blank", "PUT")["webSocketDebuggerUrl"], timeout=60)
        self.number = 0
        self.log = []
        width, height, ratio, touch = screen
        self.call("Page.enable")
        self.call("Runtime.enable")
        self.call("Log.enable")
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height,
                  deviceScaleFactor=ratio, mobile=touch)
        if touch:
            self.call("Emulation.setTouchEmulationEnabled", enabled=True, maxTouchPoints=5)
            self.call("Emulation.setEmitTouchEventsForMouse", enabled=False)
        self.call("Emulation.setEmulatedMedia",
                  features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])
        self.call("Page.navigate", url=pathlib.Path(path).resolve().as_uri())
        self.wait("document.readyState === 'complete'")
        time.sleep(0.5)

    def call(self, method, **parameters):
        self.number += 1
        self.socket.send(json.dumps({"id": self.number, "method": method, "params": parameters}))
        while True:
            answer = json.loads(self.socket.recv())
            if answer.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded"):
                self.log.append(json.dumps(answer["params"])[:500])
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]

    def value(self, expression):
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        if "exceptionDetails" in result:
            raise RuntimeError(f"{expression}: {result['exceptionDetails']}")
        return result["result"].get("value")

    def wait(self, expression):
        for _ in range(200):
            if self.value(expression):
                return
            time.sleep(0.1)
        raise RuntimeError(f"never true: {expression}")

    def shot(self, path, whole=False):
        clip = {}
        if whole:
            height = min(self.value("document.documentElement.scrollHeight"), 4000)
            width = self.value("innerWidth")
            clip = {"clip": {"x": 0, "y": 0, "width": width, "height": height, "scale": 1},
                    "captureBeyondViewport": True}
        data = self.call("Page.captureScreenshot", format="png", **clip)["data"]
        pathlib.Path(path).write_bytes(base64.b64decode(data))

    # MARK: fingers and mouse

    def touch(self, kind, *points):
        self.call("Input.dispatchTouchEvent", type=kind,
                  touchPoints=[{"x": x, "y": y, "id": number}
                               for number, (x, y) in enumerate(points)])
        time.sleep(0.05)

    def tap(self, x, y):
        self.touch("touchStart", (x, y))
        self.touch("touchEnd")
        time.sleep(0.3)

    def mouse(self, kind, x, y, **more):
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)
        time.sleep(0.1)


def shots(pages, folder):
    folder.mkdir(parents=True, exist_ok=True)
    with Browser() as browser:
        for page in pages:
            for name, screen in (("desktop", DESKTOP), ("phone", PHONE)):
                for dark in (False, True):
                    tab = Tab(browser, page, screen, dark)
                    theme = "dark" if dark else "light"
                    path = folder / f"{page.name.replace('.', '-')}-{name}-{theme}.png"
                    tab.shot(path)
                    wide = tab.value("document.documentElement.scrollWidth") > screen[0]
                    said = "WIDER THAN THE SCREEN" if wide and page.suffix != ".svg" else ""
                    print(path, said, *tab.log)


# The place of an image in the window, with a minimum distance to others and to the edges.
PLACE = """(() => {
  const box = map.getBoundingClientRect();
  let best = -1, most = -1;
  for (let i = 0; i < Math.min(count, 500); i++) {
    if (!data.links[i] || atX(i) < 60 || atY(i) < 60) continue;
    if (atX(i) > width - 60 || atY(i) > height - 60) continue;
    let least = 1e9;
    for (let j = 0; j < count; j++) {
      if (j !== i) least = Math.min(least, Math.hypot(atX(i) - atX(j), atY(i) - atY(j)));
    }
    if (least > most) { most = least; best = i; }
  }
  return [best, box.left + atX(best), box.top + atY(best)];
})()"""


def check_map(page):
    failures = 0

    def check(name, is_right, found):
        nonlocal failures
        failures += not is_right
        print(f"{'right' if is_right else 'WRONG'}: {name}: {found}")

    with Browser() as browser:
        tab = Tab(browser, page, PHONE)
        check("the map keeps the phone's width", tab.value("width") > 350, tab.value("width"))
        which, x, y = tab.value(PLACE)
        tab.tap(x, y)
        check("a tap shows the card", tab.value("!card.hidden && shown") == which,
              tab.value("[card.hidden, shown]"))
        box = tab.value("(r => [r.left, r.top, r.right, r.bottom])(card.getBoundingClientRect())")
        check("the card is in the window", box[0] >= 0 and box[1] >= 0 and box[2] <= 390
              and box[3] <= 844, box)
        check("a tap opens nothing yet", len(browser.pages()) == 2, browser.pages())
        tab.tap(x, y)
        time.sleep(1)
        link = tab.value("$('open').href")
        check("a second tap opens the image", link in browser.pages(), browser.pages()[:1])

        tab = Tab(browser, page, PHONE)
        tab.tap(x, y)
        link_x, link_y = tab.value("(r => [r.left + r.width / 2, r.top + r.height / "
                                   "2])($('open').getBoundingClientRect())")
        opened = browser.pages().count(link)
        tab.tap(link_x, link_y)
        time.sleep(1)
        check("the link on the card opens the image", browser.pages().count(link) == opened + 1,
              link)

        tab = Tab(browser, page, PHONE)
        before = tab.value("scale")
        tab.touch("touchStart", (180, 300), (210, 300))
        for step in range(1, 9):
            tab.touch("touchMove", (180 - 8 * step, 300), (210 + 8 * step, 300))
        tab.touch("touchEnd")
        ratio = tab.value("scale") / before
        check("two fingers apart zoom in, as far as they go", 4 < ratio < 8, ratio)
        check("a pinch shows no card", tab.value("card.hidden"), tab.value("shown"))
        before = tab.value("[shiftX, shiftY, scale, scrollY]")
        tab.touch("touchStart", (200, 300))
        for step in range(1, 6):
            tab.touch("touchMove", (200 - 10 * step, 300 + 6 * step))
        tab.touch("touchEnd")
        after = tab.value("[shiftX, shiftY, scale, scrollY]")
        moved = [round(b - a, 2) for a, b in zip(before, after)]
        check("a finger moves the map, not the page", moved == [-50, 30, 0, 0], moved)

        tab = Tab(browser, page)
        which, x, y = tab.value(PLACE)
        tab.mouse("mouseMoved", x, y)
        check("the pointer shows the card", tab.value("!card.hidden && shown") == which,
              tab.value("[card.hidden, shown]"))
        opened = browser.pages().count(tab.value("$('open').href"))
        tab.mouse("mousePressed", x, y, button="left", clickCount=1)
        tab.mouse("mouseReleased", x, y, button="left", clickCount=1)
        time.sleep(1)
        check("a click opens the image", browser.pages().count(
            tab.value("$('open').href")) == opened + 1,
              tab.value("$('open').href"))
        tab = Tab(browser, page)
        before = tab.value("scale")
        tab.mouse("mouseWheel", x, y, deltaX=0, deltaY=-240)
        time.sleep(0.3)
        check("the wheel zooms", tab.value("scale") > 1.3 * before, tab.value("scale") / before)
        before = tab.value("[shiftX, shiftY]")
        tab.mouse("mousePressed", 500, 400, button="left", clickCount=1)
        tab.mouse("mouseMoved", 540, 430, button="left", buttons=1)
        tab.mouse("mouseReleased", 540, 430, button="left", clickCount=1)
        moved = [round(b - a, 2) for a, b in zip(before, tab.value("[shiftX, shiftY]"))]
        check("the mouse drags the map", moved == [40, 30], moved)
        check("no errors, nothing refused", not tab.log, tab.log)
    return failures


def image(page, path, name):
    with Browser() as browser:
        tab = Tab(browser, page, (940, 600, 1, False))
        x, y = tab.value(f"""(() => {{
          const i = data.names.findIndex(n => n.endsWith({json.dumps(name)}));
          const box = map.getBoundingClientRect();
          return [box.left + atX(i), box.top + atY(i)];
        }})()""")
        tab.mouse("mouseMoved", x, y)
        time.sleep(0.5)
        tab.shot(path)


def top(page, path, size):
    width, height = map(int, size.split("x"))
    with Browser() as browser:
        Tab(browser, page, (width, height, 1, False)).shot(path)


def main():
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("shots")
    command.add_argument("pages", nargs="+", type=pathlib.Path)
    command.add_argument("-o", "--output", type=pathlib.Path, required=True)
    command = commands.add_parser("map")
    command.add_argument("page", type=pathlib.Path)
    command = commands.add_parser("image")
    command.add_argument("page", type=pathlib.Path)
    command.add_argument("--over", required=True,
                         help="the end of the name of the image under the pointer")
    command.add_argument("-o", "--output", type=pathlib.Path, required=True)
    command = commands.add_parser("top")
    command.add_argument("page", type=pathlib.Path)
    command.add_argument("--size", required=True, metavar="WxH")
    command.add_argument("-o", "--output", type=pathlib.Path, required=True)
    options = parser.parse_args()
    if options.command == "shots":
        shots(options.pages, options.output)
    elif options.command == "image":
        image(options.page, options.output, options.over)
    elif options.command == "top":
        top(options.page, options.output, options.size)
    else:
        sys.exit(1 if check_map(options.page) else 0)


main()
