import CLIPSearch

/// A page with a dot for each picture, which shows the picture under the pointer.
struct MapPage {
    let title: String
    let names: [FilePath]
    let points: [(x: Float, y: Float)]
    /// JPEG files, as many; nil where there is no picture.
    let thumbnails: [[UInt8]?]
    /// The cluster of each, and what the clusters are called.
    let assignments: [Int]
    let clusters: [String]

    var bytes: [UInt8] {
        let data = JSON.object([
            "names": .array(names.map { .string($0.description) }),
            "x": .array(points.map { .float(rounded($0.x)) }),
            "y": .array(points.map { .float(rounded($0.y)) }),
            "cluster": .array(assignments.map { .integer($0) }),
            "clusters": .array(clusters.map { .string($0) }),
            "pictures": .array(thumbnails.map { $0.map { .string(dataURI($0)) } ?? .null }),
        ])
        // Nothing that a name holds may end the script.
        let safe = data.description.split(separator: "<", omittingEmptySubsequences: false)
            .joined(separator: "\\u003c")
        var page = Page(title: title)
        page.append(
            """
            <style>\(Self.style)</style>
            <p>Drag to move, turn the wheel to zoom, click a name to hide its cluster.</p>
            <div id="view"><canvas id="map"></canvas><div id="legend"></div>
            <div id="card"><img id="picture" alt=""><div id="name"></div></div></div>
            <script type="application/json" id="data">\(safe)</script>
            <script>\(Self.script)</script>
            """)
        return page.bytes
    }

    private func rounded(_ value: Float) -> Float { (value * 1000).rounded() / 1000 }

    private static let style = """
        #view { position: relative; height: calc(100vh - 8em); min-height: 400px; border: 1px solid #8886 }
        #map { width: 100%; height: 100%; display: block; cursor: grab; touch-action: none }
        #legend { position: absolute; top: 8px; right: 8px; max-height: 90%; overflow: auto; font-size: 12px; \
        background: Canvas; padding: 6px; border-radius: 4px; opacity: .9 }
        #legend div { cursor: pointer; white-space: nowrap }
        #legend div.hidden { opacity: .35 }
        #legend span { display: inline-block; width: 10px; height: 10px; border-radius: 5px; margin-right: 6px }
        #card { position: absolute; display: none; pointer-events: none; background: Canvas; padding: 4px; \
        border: 1px solid #8886; border-radius: 4px; max-width: 260px; font-size: 12px; overflow-wrap: anywhere }
        """

    private static let script = #"""
        "use strict";
        const data = JSON.parse(document.getElementById("data").textContent);
        const view = document.getElementById("view"), map = document.getElementById("map");
        const card = document.getElementById("card"), picture = document.getElementById("picture");
        const count = data.x.length, hidden = new Set();
        // Hues that are far apart, whatever their number.
        const colour = cluster => `hsl(${(cluster * 137.508) % 360} 70% ${45 + 12 * (cluster % 3 - 1)}%)`;

        const bounds = list => list.reduce(([a, b], v) => [Math.min(a, v), Math.max(b, v)], [Infinity, -Infinity]);
        const [left, right] = bounds(data.x), [top_, bottom] = bounds(data.y);
        let scale = 1, shiftX = 0, shiftY = 0, width = 1, height = 1, marked = -1;
        function fit() {
          width = view.clientWidth; height = view.clientHeight;
          map.width = width * devicePixelRatio; map.height = height * devicePixelRatio;
          // What the legend leaves free.
          const room = Math.max(width / 2, width - document.getElementById("legend").offsetWidth - 16);
          scale = 0.92 * Math.min(room / Math.max(right - left, 1e-9), height / Math.max(bottom - top_, 1e-9));
          shiftX = room / 2 - scale * (left + right) / 2; shiftY = height / 2 - scale * (top_ + bottom) / 2;
          draw();
        }
        function draw() {
          const pen = map.getContext("2d");
          pen.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
          pen.clearRect(0, 0, width, height);
          const radius = Math.max(2, Math.min(6, 120 / Math.sqrt(count)));
          for (let i = 0; i < count; i++) {
            if (hidden.has(data.cluster[i])) continue;
            const x = data.x[i] * scale + shiftX, y = data.y[i] * scale + shiftY;
            if (x < -9 || y < -9 || x > width + 9 || y > height + 9) continue;
            pen.fillStyle = colour(data.cluster[i]);
            pen.beginPath(); pen.arc(x, y, i === marked ? radius * 1.8 : radius, 0, 7); pen.fill();
          }
        }
        function nearest(x, y) {
          let best = -1, least = 15 * 15;
          for (let i = 0; i < count; i++) {
            if (hidden.has(data.cluster[i])) continue;
            const dx = data.x[i] * scale + shiftX - x, dy = data.y[i] * scale + shiftY - y;
            if (dx * dx + dy * dy < least) { least = dx * dx + dy * dy; best = i; }
          }
          return best;
        }
        function show(i, x, y) {
          if (i !== marked) { marked = i; draw(); }
          card.style.display = i < 0 ? "none" : "block";
          if (i < 0) return;
          picture.style.display = data.pictures[i] ? "block" : "none";
          if (data.pictures[i]) picture.src = data.pictures[i];
          document.getElementById("name").textContent = data.clusters[data.cluster[i]] + " · " + data.names[i];
          card.style.left = Math.min(x + 14, width - card.offsetWidth - 4) + "px";
          card.style.top = Math.max(4, Math.min(y + 14, height - card.offsetHeight - 4)) + "px";
        }
        let drag = null;
        map.addEventListener("pointerdown", e => { drag = [e.offsetX - shiftX, e.offsetY - shiftY]; map.setPointerCapture(e.pointerId); });
        map.addEventListener("pointerup", () => { drag = null; });
        map.addEventListener("pointerleave", () => show(-1));
        map.addEventListener("pointermove", e => {
          if (!drag) return show(nearest(e.offsetX, e.offsetY), e.offsetX, e.offsetY);
          shiftX = e.offsetX - drag[0]; shiftY = e.offsetY - drag[1]; draw();
        });
        map.addEventListener("wheel", e => {
          e.preventDefault();
          const factor = Math.exp(-e.deltaY / 500);
          shiftX = e.offsetX + (shiftX - e.offsetX) * factor; shiftY = e.offsetY + (shiftY - e.offsetY) * factor;
          scale *= factor; draw();
        }, { passive: false });
        data.clusters.forEach((name, cluster) => {
          const line = document.createElement("div"), dot = document.createElement("span");
          dot.style.background = colour(cluster);
          line.append(dot, name);
          line.onclick = () => { line.classList.toggle("hidden") ? hidden.add(cluster) : hidden.delete(cluster); draw(); };
          document.getElementById("legend").append(line);
        });
        addEventListener("resize", fit);
        fit();
        """#
}
