// The results of a search: a grid of rows of equal height, and one image large in the lightbox.
import { $, icon, load, make, openOriginal } from "./page-tools.js";

let results = [];
let current = 0;  // the result that Tab reaches
let shown = 0;  // the result in the lightbox
let indexNames = [];
let act = () => {};  // called with a result and the weight of its new term

const nameOf = path => path.slice(path.lastIndexOf("/") + 1);

export function startResults(names, onTerm) {
  indexNames = names;
  act = onTerm;
  $("results").addEventListener("keydown", onGridKey);
  $("results").addEventListener("focusin", event => {
    const tile = event.target.closest(".tile");
    if (tile) setCurrent([...$("results").children].indexOf(tile));
  });
  startLightbox();
}

// Shows results. If the first ones are already there, only the others are added.
export function showResults(list, isMore) {
  const start = isMore ? results.length : 0;
  if (!isMore) {
    $("results").replaceChildren();
    current = 0;
  }
  results = list;
  $("results").append(...list.slice(start).map(tile));
  if (!isMore) setCurrent(0);
}

export const focusResult = position => $("results").children[position]?.querySelector(".show").focus();

function tile(result) {
  const { path, width, height, cosine, thumbnail, original } = result;
  // The ratio is known before the image is: rows have their height from the start.
  const ratio = width > 0 && height > 0 ? Math.min(2.4, Math.max(0.55, width / height)) : 1;
  const image = make("img", { alt: "", draggable: "false" });
  image.addEventListener("load", () => image.classList.add("here"));
  image.addEventListener("error", () => image.parentElement.classList.add("missing"));
  load(image, atSize(thumbnail, 200 * Math.max(1, ratio)));
  const name = nameOf(path);
  const action = (label, symbol, run) => make("button",
    { type: "button", class: "round", "aria-label": `${label}: ${name}`, title: label, tabindex: "-1", onclick: run },
    icon(symbol));
  const node = make("li", { class: "tile" },
    make("button", {
      type: "button", class: "show", tabindex: "-1", "aria-label": `${name}, cosine ${cosine.toFixed(2)}`,
      onclick: () => openLightbox(results.indexOf(result)),
    }, image),
    make("div", { class: "actions" },
      action("More like this", "plus", () => act(result, 1)),
      action("Less like this", "minus", () => act(result, -1)),
      make("a", {
        class: "round", href: original, target: "_blank", rel: "noopener", tabindex: "-1",
        "aria-label": `Open original: ${name}`, title: "Open original", onclick: event => follow(event, original),
      }, icon("open"))),
    make("p", { class: "caption", title: path }, make("span", {}, name), make("small", {}, cosine.toFixed(3))));
  node.style.setProperty("--ratio", ratio.toFixed(4));
  return node;
}

// Returns the path of a thumbnail whose longest side is enough for CSS pixels on this screen.
function atSize(thumbnail, pixels) {
  const size = [320, 480, 640, 1024].find(size => size >= pixels * devicePixelRatio) ?? 1024;
  return thumbnail.replace(/\bsize=\d+/, `size=${size}`);
}

function follow(event, original) {
  if (openOriginal(original)) event.preventDefault();
}

// MARK: keys in the grid

function setCurrent(position) {
  const tiles = $("results").children;
  const setTabs = (tile, value) => tile?.querySelectorAll("button, a").forEach(node => { node.tabIndex = value; });
  setTabs(tiles[current], -1);
  current = Math.max(0, Math.min(position, tiles.length - 1));
  setTabs(tiles[current], 0);
}

// Returns the tile in the row above or below that is nearest.
function vertical(direction) {
  const tiles = [...$("results").children], { offsetTop, offsetLeft, offsetWidth } = tiles[current];
  const middle = offsetLeft + offsetWidth / 2;
  let best = -1, row = null, least = Infinity;
  for (let i = current + direction; tiles[i]; i += direction) {
    const other = tiles[i];
    if (other.offsetTop === offsetTop) continue;
    row ??= other.offsetTop;
    if (other.offsetTop !== row) break;
    const distance = Math.abs(other.offsetLeft + other.offsetWidth / 2 - middle);
    if (distance < least) [best, least] = [i, distance];
  }
  return best;
}

function onGridKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const move = {
    ArrowRight: () => current + 1, ArrowLeft: () => current - 1, Home: () => 0, End: () => results.length - 1,
    ArrowDown: () => vertical(1), ArrowUp: () => vertical(-1),
  }[event.key];
  if (move) {
    const target = move();
    event.preventDefault();
    if (target >= 0 && target < results.length) focusResult(target);
    else if (event.key === "ArrowUp") $("text").focus();
    else if (event.key === "ArrowDown" && !$("more").hidden) $("more").focus();
  } else if (event.key === "+" || event.key === "m") act(results[current], 1);
  else if (event.key === "-" || event.key === "l") act(results[current], -1);
}

// MARK: lightbox

function startLightbox() {
  const box = $("lightbox");
  const step = by => {
    if (results[shown + by]) showLarge(shown + by);
  };
  $("previous").onclick = () => step(-1);
  $("next").onclick = () => step(1);
  $("close").onclick = () => box.close();
  for (const [id, weight] of [["nearer", 1], ["farther", -1]]) {
    $(id).onclick = () => {
      box.close();
      act(results[shown], weight);
    };
  }
  $("original").onclick = event => follow(event, $("original").getAttribute("href"));
  box.addEventListener("click", event => { if (event.target === box) box.close(); });
  box.addEventListener("keydown", event => {
    if (event.key === "ArrowRight") step(1);
    else if (event.key === "ArrowLeft") step(-1);
    else return;
    event.preventDefault();
  });
  box.addEventListener("close", () => {
    $("large").removeAttribute("src");
    focusResult(shown);
  });
  box.addEventListener("wheel", event => { if (!event.ctrlKey) event.preventDefault(); }, { passive: false });
  let from = null;
  box.addEventListener("touchstart", event => {
    from = event.touches.length === 1 ? event.touches[0] : null;
  }, { passive: true });
  box.addEventListener("touchend", event => {
    const to = event.changedTouches[0];
    if (!from || (visualViewport?.scale ?? 1) > 1.01) return;
    const [x, y] = [to.clientX - from.clientX, to.clientY - from.clientY];
    if (Math.abs(x) > 48 && Math.abs(x) > 2 * Math.abs(y)) step(x < 0 ? 1 : -1);
  }, { passive: true });
}

function openLightbox(position) {
  $("lightbox").showModal();
  showLarge(position);
  $("next").focus();
}

// Shows the thumbnail at once, and the original when it has arrived.
function showLarge(position) {
  shown = position;
  const { index, path, width, height, cosine, thumbnail, original } = results[shown];
  const large = $("large");
  large.alt = nameOf(path);
  // The thumbnail has the size of the original, which replaces it.
  large.style.setProperty("--ratio", width > 0 && height > 0 ? width / height : 1);
  large.style.setProperty("--width", `${Math.max(320, width || 960)}px`);
  const small = $("results").children[shown].querySelector("img");
  if (small.classList.contains("here") && small.src.startsWith("http")) large.src = small.src;
  else load(large, thumbnail, false);
  // The original may be large: it is loaded only for screens on which it is sharper.
  const side = Math.min(innerWidth, width > height ? width : innerHeight) * devicePixelRatio;
  const full = new Image();
  full.onload = () => { if (shown === position && $("lightbox").open) replace(large, full); };
  load(full, side > 1024 ? original : atSize(thumbnail, 1024), false);

  $("path").textContent = indexNames.length > 1 ? `${indexNames[index] ?? index}: ${path}` : path;
  $("facts").textContent = `cosine ${cosine.toFixed(3)}` + (width > 0 ? ` · ${width} × ${height}` : "")
    + ` · ${position + 1} of ${results.length}`;
  $("original").href = original;
  $("previous").disabled = position === 0;
  $("next").disabled = position === results.length - 1;
}

function replace(old, image) {
  image.id = old.id;
  image.alt = old.alt;
  for (const name of ["--ratio", "--width"]) image.style.setProperty(name, old.style.getPropertyValue(name));
  old.replaceWith(image);
}
