// Search: the box with its terms, the address that holds them, and the requests.
import { $, Failure, dataURL, duration, icon, load, make, plural, request, showFailure, takeImages }
  from "./page-tools.js";
import { focusResult, showResults, startResults } from "./page-results.js";

const PAGE = 50, LIMIT = 1000;  // results of a request
const EXAMPLES = ["a dog on the beach", "a city at night", "food on a table", "snow on mountains"];

// Terms: {text, weight}, {like: "INDEX/ID", weight}, or {file: number of an image, weight}.
let terms = [];
let top = PAGE;
let running = null;
let page = { indexes: [] };
// The chosen images: {name, preview, data}. They live as long as the page does, so that the back
// button finds them.
const files = [];

const isPlain = list => list.length === 1 && list[0].text !== undefined && list[0].weight > 0;

export function startSearch(information) {
  page = information;
  const count = page.indexes.reduce((sum, index) => sum + index.count, 0);
  $("search").hidden = false;
  $("name").textContent = page.indexes.length === 1 ? page.indexes[0].name : "Image search";
  $("about").textContent = page.indexes.length === 1 ? plural(count, "image")
    : `${plural(count, "image")} in ${page.indexes.length} indexes`;
  $("index").append(make("option", { value: "" }, "all indexes"), ...page.indexes.map((index, i) =>
    make("option", { value: `${i}` }, `${index.name} (${index.count.toLocaleString("en")})`)));
  $("where").hidden = page.indexes.length < 2;
  $("examples").append(...EXAMPLES.map(text =>
    make("button", { type: "button", class: "example", onclick: () => change([{ text, weight: 1 }]) }, text)));

  startResults(page.indexes.map(index => index.name), (result, weight) => {
    const like = `${result.index}/${result.id}`;
    change([...all().filter(term => term.like !== like), { like, weight }], true);
  });
  takeImages($("choose"), addFiles, message => showFailure($("notice"), new Failure(0, message)));
  $("form").addEventListener("submit", event => {
    event.preventDefault();
    if (all().length || !document.body.classList.contains("start")) change(all());
  });
  $("clear").addEventListener("click", () => { change([]); });
  $("name").addEventListener("click", event => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    change([]);
  });
  $("index").addEventListener("change", () => change(all()));
  $("more").addEventListener("click", () => {
    top += PAGE;
    run(true);
  });
  $("share").addEventListener("click", share);
  $("box").addEventListener("click", event => { if (event.target === $("box")) $("text").focus(); });
  $("text").addEventListener("keydown", onTextKey);
  $("text").addEventListener("input", drawClear);
  addEventListener("keydown", event => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
    if (/^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName) || document.querySelector("dialog[open]")) return;
    event.preventDefault();
    $("text").focus();
    $("text").select();
  });

  // The results arrive after the browser would restore the position.
  history.scrollRestoration = "manual";
  let timer = 0;
  addEventListener("scroll", () => {
    clearTimeout(timer);
    timer = setTimeout(() => history.replaceState({ ...history.state, scroll: scrollY, top }, ""), 150);
  }, { passive: true });
  addEventListener("popstate", restore);
  restore();
  $("text").focus();
}

// MARK: terms

// Splits a text at words that begin with a plus or a minus: "beach -people" is two terms.
function parse(text) {
  return text.trim().split(/\s+(?=[+\-−][^\s+\-−])/).filter(Boolean).map(part => {
    const weight = /^[\-−]\S/.test(part) ? -1 : 1;
    return { text: part.replace(/^[+\-−](?=\S)/, ""), weight };
  });
}

const all = () => [...terms, ...parse($("text").value)];

async function addFiles(images) {
  const added = [];
  for (const file of images.slice(0, 8)) {
    try {
      files.push({ name: file.name || "image", preview: URL.createObjectURL(file), data: await dataURL(file) });
      added.push({ file: files.length - 1, weight: 1 });
    } catch (failure) {
      return showFailure($("notice"), failure);
    }
  }
  change([...all(), ...added]);
}

// Searches for other terms; the back button returns to the present ones.
function change(list, isFocused = false) {
  top = PAGE;
  setTerms(list);
  history.replaceState({ ...history.state, scroll: scrollY }, "");
  const address = list.length ? `#${fragment()}` : location.pathname + location.search;
  history.pushState({ terms: list, top }, "", address);
  scrollTo(0, 0);
  run(false).then(isDone => { if (isDone && isFocused) focusResult(0); });
  if (!list.length) $("text").focus();
}

// A single text stays in the box, where it can be edited. Other terms become chips.
function setTerms(list) {
  $("text").value = isPlain(list) ? list[0].text : "";
  drawTerms(isPlain(list) ? [] : list);
  drawClear();
}

function drawTerms(list) {
  terms = list;
  $("terms").replaceChildren(...terms.map(chip));
  $("text").placeholder = terms.length ? "Add a term" : "Search images";
}

const drawClear = () => { $("clear").hidden = !terms.length && !$("text").value; };

function labelOf(term) {
  if (term.text !== undefined) return term.text;
  return term.like !== undefined ? "this image" : files[term.file].name;
}

function chip(term, position) {
  const label = labelOf(term), isAdded = term.weight > 0;
  const body = make("button", {
    type: "button", class: "toggle", title: isAdded ? "Added. Click to subtract." : "Subtracted. Click to add.",
    "aria-label": `${isAdded ? "Added" : "Subtracted"}: ${label}. ${isAdded ? "Subtract" : "Add"} it instead`,
    onclick: () => {
      change(all().map((other, i) => i === position ? { ...other, weight: -other.weight } : other));
      $("terms").children[position]?.querySelector("button").focus();
    },
  }, icon(isAdded ? "plus" : "minus"));
  if (term.text !== undefined) body.append(make("span", {}, label));
  else {
    const image = make("img", { alt: "" });
    if (term.like !== undefined) load(image, `image/${term.like.split("/").map(encodeURIComponent).join("/")}?size=320`);
    else image.src = files[term.file].preview;
    body.append(image);
  }
  return make("li", { class: `chip ${isAdded ? "added" : "subtracted"}` }, body, make("button", {
    type: "button", class: "remove", "aria-label": `Remove: ${label}`, title: "Remove",
    onclick: () => {
      change(all().filter((_, i) => i !== position));
      $("text").focus();
    },
  }, icon("close")));
}

function onTextKey(event) {
  if (event.key === "Backspace" && !$("text").value && terms.length) {
    // The last text can be edited again, an image goes.
    event.preventDefault();
    const last = terms.at(-1);
    if (last.text === undefined) return change(terms.slice(0, -1));
    drawTerms(terms.slice(0, -1));
    $("text").value = (last.weight > 0 ? "" : "−") + last.text;
    drawClear();
  } else if (event.key === "ArrowDown" && $("results").children.length) {
    event.preventDefault();
    focusResult(0);
  }
}

// MARK: the address

// The terms for the address. Images are left out: the server keeps none.
function fragment() {
  const list = all().filter(term => term.file === undefined).map(({ text, like, weight }) =>
    text !== undefined ? [weight > 0 ? "q" : "without", text] : [weight > 0 ? "like" : "unlike", like]);
  if ($("index").value) list.push(["in", $("index").value]);
  return new URLSearchParams(list).toString().replaceAll("%2F", "/");
}

// Shows the search of the current address or of the history.
async function restore() {
  const values = new URLSearchParams(location.hash.slice(1)), state = history.state ?? {};
  const list = [];
  for (const [name, value] of [...values].slice(0, 64)) {
    const weight = name === "without" || name === "unlike" ? -1 : 1;
    if ((name === "q" || name === "without") && value.trim()) list.push({ text: value.trim(), weight });
    else if (/^(un)?like$/.test(name) && /^\d+\/[^/]+$/.test(value)) list.push({ like: value, weight });
  }
  const known = (state.terms ?? []).filter(term => term.file === undefined || files[term.file]);
  $("index").value = page.indexes[values.get("in")] ? values.get("in") : "";
  setTerms(state.terms ? known : list);
  top = state.top ?? PAGE;
  if (await run(false)) scrollTo(0, state.scroll ?? 0);
  if (state.terms && known.length < state.terms.length) {
    showFailure($("notice"), new Failure(0, "An image of this search is gone. Choose it again to search by it."));
  }
}

async function share() {
  const list = all(), lost = list.filter(term => term.file !== undefined).length;
  const say = text => {
    $("share").lastElementChild.textContent = text;
    setTimeout(() => { $("share").lastElementChild.textContent = "Copy link"; }, 4000);
  };
  if (lost === list.length) return say("Your own images cannot be shared");
  const address = `${location.href.split("#")[0]}#${fragment()}`;
  try {
    await navigator.clipboard.writeText(address);
    say(lost ? "Copied, without your own images" : "Copied");
  } catch {
    say("Copy the address of this page");
  }
}

// MARK: requests

// Runs the search. Returns false if it failed, or if another one has replaced it.
async function run(isMore) {
  const list = all();
  running?.abort();
  $("notice").hidden = true;
  document.body.classList.toggle("start", !list.length);
  $("line").hidden = !list.length;
  $("share").hidden = false;
  document.title = list.length ? `${list.map((term, i) =>
    (term.weight > 0 ? (i ? "+ " : "") : "− ") + labelOf(term)).join(" ")} · ${$("name").textContent}`
    : $("name").textContent;
  if (!list.length) {
    document.body.classList.remove("busy");
    showResults([], false);
    $("more").hidden = true;
    $("status").textContent = "";
    return true;
  }
  const { signal } = running = new AbortController();
  const body = {
    top,
    terms: list.map(({ text, like, file, weight }) =>
      text !== undefined ? { text, weight } : like !== undefined ? { like, weight } : { image: files[file].data, weight }),
  };
  if ($("index").value) body.index = Number($("index").value);
  document.body.classList.add("busy");
  $("results").setAttribute("aria-busy", "true");
  if (!$("results").children.length) $("status").textContent = "Searching …";
  let isDone = false;
  try {
    const answer = await request("search", {
      body, signal, onBusy: seconds => { $("status").textContent = `The server is busy. Trying again in ${seconds} s.`; },
    });
    showAnswer(answer, isMore);
    isDone = true;
  } catch (failure) {
    if (signal.aborted) return false;
    if (isMore) top -= PAGE;
    else showResults([], false);
    $("more").hidden = !isMore;
    $("status").textContent = "";
    $("share").hidden = true;
    showFailure($("notice"), failure, failure.status === 400 ? undefined : () => run(isMore));
  }
  document.body.classList.remove("busy");
  $("results").removeAttribute("aria-busy");
  return isDone;
}

function showAnswer({ results, searched, seconds, model }, isMore) {
  const before = $("results").children.length;
  showResults(results, isMore);
  $("more").hidden = results.length < top || top >= LIMIT || results.length >= searched;
  const time = duration(seconds);
  $("status").textContent = results.length
    ? `${results.length.toLocaleString("en")} of ${plural(searched, "image")}${time && ` · ${time}`} · ${model}` : "";
  if (!results.length) {
    showFailure($("notice"), new Failure(0, searched ? "No image fits." : "The index has no images yet."));
    $("share").hidden = true;
  }
  if (isMore && document.activeElement === document.body || document.activeElement === $("more")) focusResult(before);
}
