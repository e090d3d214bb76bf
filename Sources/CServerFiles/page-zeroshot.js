// Zero-shot classification: an image, labels, and a bar for the probability of each.
import { $, Failure, dataURL, duration, make, plural, request, showFailure, takeImages } from "./page-tools.js";

const DELAY = 350;  // milliseconds without a key before labels are sent
let image = "";  // the data URL
let preview = "";  // the URL of the image on the page
let timer = 0, running = null;
const rows = new Map();  // label -> row

export function startZeroshot(page) {
  $("zeroshot").hidden = false;
  document.title = "Zero-shot classification";
  $("labels").value = "a photo of a dog\na photo of a cat\na photo of a bicycle\na photo of food";
  for (const name of page.models) $("model").append(make("option", {}, name));
  if (page.defaultModel) $("model").value = page.defaultModel;
  $("with").hidden = page.models.length < 2;
  const note = () => {
    const name = $("model").value || page.defaultModel || "tiny";
    $("demonstration").textContent =
      `${name} is a small model for demonstrations. It is fast, but often wrong.`;
    $("demonstration").hidden = page.embedding && name !== "tiny";
  };
  note();
  $("labels").addEventListener("input", () => later(DELAY));
  $("model").addEventListener("change", () => {
    note();
    later(0);
  });
  takeImages($("drop"), ([file]) => show(file), message => showFailure($("problem"), new Failure(0, message)));
}

async function show(file) {
  URL.revokeObjectURL(preview);
  preview = URL.createObjectURL(file);
  $("image").src = preview;
  $("image").alt = file.name;
  $("image").hidden = false;
  $("drop").classList.add("full");
  $("drop").setAttribute("aria-label", `${file.name}. Choose another image`);
  try {
    image = await dataURL(file);
    later(0);
  } catch (failure) {
    showFailure($("problem"), failure);
  }
}

function later(delay) {
  clearTimeout(timer);
  timer = setTimeout(classify, delay);
}

async function classify() {
  const labels = [...new Set($("labels").value.split(/[\n,]/).map(label => label.trim()).filter(Boolean))];
  running?.abort();
  if (!image) return;
  $("problem").hidden = true;
  if (!labels.length) {
    draw([]);
    $("said").textContent = "Type a label.";
    return;
  }
  const { signal } = running = new AbortController();
  const body = { image, labels };
  if (!$("with").hidden) body.model = $("model").value;
  const start = performance.now();
  $("zeroshot").classList.add("busy");
  $("bars").setAttribute("aria-busy", "true");
  try {
    const answer = await request("zeroshot", {
      body, signal,
      onBusy: seconds => { $("said").textContent = `The server is busy. Trying again in ${seconds} s.`; },
    });
    draw(answer.predictions);
    $("said").textContent = `${plural(labels.length, "label")} in ${duration((performance.now() - start) / 1000)}`
      + ` with ${answer.model}`;
  } catch (failure) {
    if (signal.aborted) return;
    draw([]);
    $("said").textContent = "";
    showFailure($("problem"), failure, failure.status === 400 ? undefined : classify);
  }
  $("zeroshot").classList.remove("busy");
  $("bars").removeAttribute("aria-busy");
}

// Shows the predictions, best first. Rows that stay move to their new place.
function draw(predictions) {
  const sorted = [...predictions].sort((a, b) => b.probability - a.probability);
  const before = new Map([...rows].map(([label, row]) => [label, row.node.offsetTop]));
  const labels = new Set(sorted.map(prediction => prediction.label));
  for (const [label, row] of rows) {
    if (labels.has(label)) continue;
    row.node.remove();
    rows.delete(label);
  }
  for (const [rank, { label, probability, cosine, sigmoid }] of sorted.entries()) {
    let row = rows.get(label);
    if (!row) {
      const bar = make("span", { class: "bar" }), percent = make("span", { class: "percent" });
      const node = make("li", {}, make("span", { class: "label" }, label), percent,
        make("span", { class: "track", "aria-hidden": "true" }, bar));
      row = { node, bar, percent };
      rows.set(label, row);
    }
    row.node.classList.toggle("best", rank === 0);
    row.node.title = `cosine ${cosine.toFixed(4)}` + (sigmoid === undefined ? "" : `, sigmoid ${sigmoid.toFixed(4)}`);
    row.percent.textContent = percentage(probability);
    $("bars").append(row.node);
    row.node.getBoundingClientRect();  // new bars grow from zero
    row.bar.style.setProperty("--part", probability);
  }
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
  for (const [label, row] of rows) {
    const moved = before.has(label) ? before.get(label) - row.node.offsetTop : 0;
    if (moved) row.node.animate([{ transform: `translateY(${moved}px)` }, { transform: "none" }],
      { duration: 300, easing: "cubic-bezier(.2, .8, .3, 1)" });
  }
}

function percentage(probability) {
  if (probability > 0 && probability < 0.001) return "< 0.1 %";
  return `${(100 * probability).toFixed(1)} %`;
}
