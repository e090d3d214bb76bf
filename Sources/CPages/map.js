"use strict";
// A map of images: dots on a canvas, thumbnails where there is room, the names of the clusters, and
// a card that shows one image. Positions in `data` are in units of the layout; positions on the
// canvas are in CSS pixels.
const data = JSON.parse(document.getElementById("data").textContent);
const $ = id => document.getElementById(id);
const stage = $("stage"), map = $("map"), card = $("card");
const count = data.x.length, hidden = new Set();
// Steps of the golden angle keep hues apart for any number of clusters. Lighter on a dark page.
const dark = matchMedia("(prefers-color-scheme: dark)");
const colour = cluster =>
  `hsl(${(cluster * 137.508) % 360} 70% ${(dark.matches ? 60 : 47) + 11 * (cluster % 3 - 1)}%)`;

let width = 1, height = 1;
let scale = 1, shiftX = 0, shiftY = 0;  // canvas = layout * scale + shift
let wholeScale = 1;  // the scale at which the whole map is visible
let shown = -1;  // the image on the card
let kept = false;  // true if the card stays when the pointer leaves
let tiles = [];  // the thumbnails on the canvas
const atX = i => data.x[i] * scale + shiftX, atY = i => data.y[i] * scale + shiftY;

const bounds = list => list.reduce(([a, b], v) => [Math.min(a, v), Math.max(b, v)], [Infinity, -Infinity]);
const [left, right] = bounds(data.x), [upper, lower] = bounds(data.y);

// Shows the whole map.
function fit() {
  const margin = count > 60 ? Math.min(40, width / 14) : Math.min(72, width / 7);
  const [spanX, spanY] = [Math.max(right - left, 1e-9), Math.max(lower - upper, 1e-9)];
  wholeScale = scale = count === 1 ? 1 : Math.min((width - 2 * margin) / spanX, (height - 2 * margin) / spanY);
  shiftX = width / 2 - scale * (left + right) / 2;
  shiftY = height / 2 - scale * (upper + lower) / 2;
  redraw();
}

// Multiplies the scale; the point (x, y) of the canvas stays in place.
function zoom(factor, x, y) {
  const wanted = Math.min(400 * wholeScale, Math.max(wholeScale / 2, scale * factor));
  shiftX = x + (shiftX - x) * wanted / scale;
  shiftY = y + (shiftY - y) * wanted / scale;
  scale = wanted;
  redraw();
}

// MARK: drawing

// Draws once in the next frame, however often it is called.
let isDue = false;
function redraw() {
  if (isDue) return;
  isDue = true;
  requestAnimationFrame(() => { isDue = false; draw(); });
}

// The centre of each cluster: the medians of its positions, which are robust to outliers.
const median = list => list.sort((a, b) => a - b)[list.length >> 1];
const centres = data.clusters.map((_, cluster) => {
  const members = [...data.cluster.keys()].filter(i => data.cluster[i] === cluster);
  return members.length ? [median(members.map(i => data.x[i])), median(members.map(i => data.y[i]))] : null;
});

// Returns the thumbnail of an image; null until the browser has decoded it, which redraws.
const images = new Map();
function thumbnail(i) {
  if (!images.has(i)) {
    const image = new Image();
    image.onload = redraw;
    image.src = data.images[i];
    images.set(i, image);
  }
  const image = images.get(i);
  return image.complete && image.naturalWidth ? image : null;
}

// Returns the thumbnails to draw and their rectangles, which do not overlap. There are none if more
// than 400 images are visible. Nor are there any if more than 60 are visible, fewer than 60% of them
// have room, and the map is enlarged less than 3 times.
function placeTiles(visible) {
  if (visible.length > 400) return [];
  if (visible.length > 60 && scale < 3 * wholeScale) {
    const squares = [];
    for (const i of visible) {
      const square = { x: atX(i) - 25, y: atY(i) - 25, w: 50, h: 50 };
      if (squares.every(other => apart(square, other, 5))) squares.push(square);
    }
    if (squares.length < 0.6 * visible.length) return [];
  }
  const loaded = visible.filter(i => data.images[i] && thumbnail(i));
  // The largest size at which all have room; at the smallest size those without room stay dots.
  for (const side of [112, 96, 80, 68, 58, 50]) {
    const placed = [];
    for (const i of loaded) {
      const image = thumbnail(i), ratio = side / Math.max(image.naturalWidth, image.naturalHeight);
      const [w, h] = [image.naturalWidth * ratio, image.naturalHeight * ratio];
      const tile = { i, image, x: atX(i) - w / 2, y: atY(i) - h / 2, w, h };
      if (placed.every(other => apart(tile, other, 5))) placed.push(tile);
    }
    if (placed.length === loaded.length || side === 50) return placed;
  }
}
// Returns true if two rectangles are at least `gap` apart.
const apart = (a, b, gap) => a.x + a.w + gap <= b.x || b.x + b.w + gap <= a.x
  || a.y + a.h + gap <= b.y || b.y + b.h + gap <= a.y;

function draw() {
  const pen = map.getContext("2d"), style = getComputedStyle(document.body);
  pen.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
  pen.clearRect(0, 0, width, height);
  const visible = [];
  for (let i = 0; i < count; i++) {
    const x = atX(i), y = atY(i);
    if (!hidden.has(data.cluster[i]) && x > -40 && y > -40 && x < width + 40 && y < height + 40) visible.push(i);
  }
  tiles = placeTiles(visible);
  const isTile = new Set(tiles.map(tile => tile.i));
  for (const { i, image, x, y, w, h } of tiles) {
    const edge = i === shown ? 4 : 2;
    pen.fillStyle = colour(data.cluster[i]);
    pen.fillRect(x - edge, y - edge, w + 2 * edge, h + 2 * edge);
    pen.drawImage(image, x, y, w, h);
  }
  // Dots grow a little with the zoom.
  const radius = Math.min(9, Math.max(1.8, Math.min(6, 0.12 * Math.sqrt(width * height / count)))
    * (scale / wholeScale) ** 0.25);
  for (const i of visible) {
    if (isTile.has(i)) continue;
    pen.fillStyle = colour(data.cluster[i]);
    pen.beginPath();
    pen.arc(atX(i), atY(i), i === shown ? radius * 1.7 : radius, 0, 7);
    pen.fill();
    if (!tiles.length && i !== shown) continue;
    pen.strokeStyle = i === shown ? style.color : style.backgroundColor;
    pen.lineWidth = 1.5;
    pen.stroke();
  }
  drawNames(pen, style);
  placeCard();
}

// Draws the names of clusters, the largest cluster first. A name that would cover another is left
// out.
function drawNames(pen, style) {
  const placed = [];
  pen.font = `600 13px ${style.fontFamily}`;
  pen.textAlign = "center";
  pen.textBaseline = "middle";
  data.clusters.forEach(({ name, size, isLabel }, cluster) => {
    if (!centres[cluster] || hidden.has(cluster) || (!isLabel && size < 2)) return;
    const text = name.length > 32 ? name.slice(0, 31) + "…" : name;
    const x = centres[cluster][0] * scale + shiftX;
    let y = centres[cluster][1] * scale + shiftY;
    const tile = tiles.find(t => x >= t.x && y >= t.y && x <= t.x + t.w && y <= t.y + t.h);
    if (tile) y = tile.y + tile.h;  // on its lower edge, so that the image stays visible
    const w = pen.measureText(text).width + 6;
    // Move the name up or down a line if another one is there.
    const boxes = [0, -14, 14].map(shift => ({ x: x - w / 2, y: y - 8 + shift, w, h: 16 }));
    const box = boxes.find(box => placed.every(other => apart(box, other, 1)));
    if (!box) return;
    placed.push(box);
    y = box.y + 8;
    // The halo is thin, so that the dots behind stay visible.
    pen.strokeStyle = style.backgroundColor;
    pen.lineWidth = 3.5;
    pen.lineJoin = "round";
    pen.strokeText(text, x, y + 0.5);
    pen.fillStyle = style.color;
    pen.fillText(text, x, y + 0.5);
  });
}

// MARK: the card

// Returns the image at a point of the canvas; -1 if none is within `reach` pixels. A dot within 10
// pixels takes precedence over the thumbnail below it.
function nearest(x, y, reach) {
  const tile = tiles.findLast(t => x >= t.x && y >= t.y && x <= t.x + t.w && y <= t.y + t.h);
  let best = -1, least = tile ? 100 : reach * reach;
  for (let i = 0; i < count; i++) {
    if (hidden.has(data.cluster[i]) || (tile && i === tile.i)) continue;
    const dx = atX(i) - x, dy = atY(i) - y;
    if (dx * dx + dy * dy < least) { least = dx * dx + dy * dy; best = i; }
  }
  return best < 0 && tile ? tile.i : best;
}

// Shows image i on the card; -1 hides the card.
function show(i, keep) {
  if (i === shown && keep === kept) return;
  if (i !== shown && i >= 0) {
    const { name, isLabel } = data.clusters[data.cluster[i]];
    $("image").style.display = data.images[i] ? "block" : "none";
    if (data.images[i]) $("image").src = data.images[i];
    $("cluster").textContent = isLabel ? name : `Cluster ${name}`;
    $("name").textContent = data.names[i];
    if (data.links[i]) $("open").href = data.links[i]; else $("open").removeAttribute("href");
  }
  [shown, kept] = [i, i >= 0 && keep];
  card.hidden = i < 0;
  card.classList.toggle("kept", kept);
  card.classList.toggle("linked", i >= 0 && !!data.links[i]);
  map.classList.toggle("over", i >= 0 && !!data.links[i]);
  redraw();
}

// Places the card beside the image, on a side where it has room.
function placeCard() {
  if (shown < 0) return;
  const tile = tiles.find(t => t.i === shown);
  const [x, y] = [atX(shown), atY(shown)];
  const [dx, dy] = tile ? [tile.w / 2 + 8, 0] : [14, 14];
  const [w, h] = [card.offsetWidth, card.offsetHeight];
  let [cardX, cardY] = [x + dx, y + dy];
  if (cardX + w > width - 4) cardX = x - dx - w;
  if (cardX < 4) {  // neither side has room: below or above
    cardX = Math.max(4, Math.min(x - w / 2, width - w - 4));
    cardY = y + (tile ? tile.h / 2 + 8 : 14);
    if (cardY + h > height - 4) cardY = y - (tile ? tile.h / 2 + 8 : 14) - h;
  }
  card.style.left = cardX + "px";
  card.style.top = Math.max(4, Math.min(cardY, height - h - 4)) + "px";
}

// Opens the file of an image, if the page links to it.
function open(i) {
  if (i >= 0 && data.links[i]) $("open").click();
}
$("image").addEventListener("click", () => open(shown));
$("image").addEventListener("load", redraw);

// MARK: pointers

const pointers = new Map();  // the positions of the pointers that are down
let isTap = false, downAt = null;

// Returns the mean of the pointers that are down, and their mean distance from it.
function spread() {
  const all = [...pointers.values()];
  const x = all.reduce((sum, p) => sum + p.x, 0) / all.length, y = all.reduce((sum, p) => sum + p.y, 0) / all.length;
  return { x, y, size: all.reduce((sum, p) => sum + Math.hypot(p.x - x, p.y - y), 0) / all.length };
}
const place = e => { const box = map.getBoundingClientRect(); return { x: e.clientX - box.left, y: e.clientY - box.top }; };
const isMouse = e => e.pointerType === "mouse";

map.addEventListener("pointerdown", e => {
  if (e.button > 0) return;
  pointers.set(e.pointerId, place(e));
  map.setPointerCapture(e.pointerId);
  isTap = pointers.size === 1;
  downAt = place(e);
});
map.addEventListener("pointermove", e => {
  const to = place(e);
  if (!pointers.has(e.pointerId)) {
    if (isMouse(e)) show(nearest(to.x, to.y, 15), false);
    return;
  }
  // Small moves do not end a tap: a finger is never quite still.
  if (isTap && Math.hypot(to.x - downAt.x, to.y - downAt.y) < (isMouse(e) ? 4 : 10)) return;
  isTap = false;
  const before = spread();
  pointers.set(e.pointerId, to);
  const after = spread();
  shiftX += after.x - before.x;
  shiftY += after.y - before.y;
  if (pointers.size > 1 && before.size > 0) zoom(after.size / before.size, after.x, after.y);
  redraw();
});
map.addEventListener("pointerup", e => {
  pointers.delete(e.pointerId);
  if (!isTap) return;
  isTap = false;
  const found = nearest(downAt.x, downAt.y, isMouse(e) ? 15 : 26);
  if (isMouse(e) || (found === shown && kept)) open(found);
  else show(found, true);
});
map.addEventListener("pointercancel", e => { pointers.delete(e.pointerId); isTap = false; });
map.addEventListener("pointerleave", e => { if (isMouse(e) && !kept) show(-1, false); });
map.addEventListener("wheel", e => {
  e.preventDefault();
  const lines = e.deltaMode === 1 ? 16 : 1, { x, y } = place(e);
  zoom(Math.exp(-e.deltaY * lines / (e.ctrlKey ? 100 : 500)), x, y);
}, { passive: false });

// MARK: buttons, legend, window

$("closer").onclick = () => zoom(1.5, width / 2, height / 2);
$("farther").onclick = () => zoom(1 / 1.5, width / 2, height / 2);
$("whole").onclick = fit;

data.clusters.forEach(({ name, size, cosine, isLabel }, cluster) => {
  const line = document.createElement("button"), dot = document.createElement("i");
  const words = document.createElement("span"), number = document.createElement("small");
  dot.style.background = colour(cluster);
  words.textContent = isLabel ? name : `Cluster ${name}`;
  number.textContent = size.toLocaleString("en");
  line.title = `${size === 1 ? "1 image" : `${size.toLocaleString("en")} images`}`
    + (cosine == null ? "" : `; cosine of the name ${cosine.toFixed(3)}`);
  line.setAttribute("aria-pressed", "true");
  line.append(dot, words, number);
  line.onclick = () => {
    const isHidden = hidden.delete(cluster) ? false : !!hidden.add(cluster);
    line.setAttribute("aria-pressed", String(!isHidden));
    if (shown >= 0 && hidden.has(data.cluster[shown])) show(-1, false);
    redraw();
  };
  $("clusters").append(line);
});

new ResizeObserver(() => {
  const isFirst = width === 1, [oldWidth, oldHeight] = [width, height];
  [width, height] = [stage.clientWidth, stage.clientHeight];
  map.width = width * devicePixelRatio;
  map.height = height * devicePixelRatio;
  if (isFirst || scale === wholeScale) return fit();
  shiftX += (width - oldWidth) / 2;
  shiftY += (height - oldHeight) / 2;
  redraw();
}).observe(stage);
dark.addEventListener("change", () => {
  document.querySelectorAll("#clusters i").forEach((dot, cluster) => { dot.style.background = colour(cluster); });
  redraw();
});
