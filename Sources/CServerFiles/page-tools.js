// The parts that search and classification share: elements, requests, the API key, and images that
// are shown, chosen, dropped or pasted.

export const $ = id => document.getElementById(id);

// Makes an element with attributes, listeners ("onclick": function) and children.
export function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") node.addEventListener(name.slice(2), value);
    else if (value !== false && value !== undefined) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children);
  return node;
}

// Makes an icon of page.html.
export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  use.setAttribute("href", `#icon-${name}`);
  svg.append(use);
  return svg;
}

export const plural = (count, word) => `${count.toLocaleString("en")} ${word}${count === 1 ? "" : "s"}`;

export function duration(seconds) {
  if (!(seconds >= 0)) return "";
  return seconds < 0.0995 ? `${Math.max(1, Math.round(seconds * 1000))} ms` : `${seconds.toFixed(1)} s`;
}

// MARK: requests

// A request that was not answered with success.
export class Failure extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

const KEY = "clip-api-key";
let key = "";
try { key = sessionStorage.getItem(KEY) ?? ""; } catch { /* storage is disabled */ }
const headers = () => key ? { Authorization: `Bearer ${key}` } : {};

// Asks for the API key; all requests that fail at the same time share one dialog.
let asking = null;
function askForKey(isWrong) {
  asking ??= new Promise((resolve, reject) => {
    const dialog = $("key");
    $("key-reason").textContent = isWrong ? "The server does not know this key. Try another one."
      : "This server asks for a key. It is kept until you close this tab.";
    $("key-text").value = "";
    dialog.returnValue = "";
    $("key-form").onsubmit = event => {
      event.preventDefault();
      key = $("key-text").value.trim();
      try { sessionStorage.setItem(KEY, key); } catch { /* kept in this page alone */ }
      dialog.close("entered");
    };
    $("key-cancel").onclick = () => dialog.close();
    dialog.onclose = () => {
      asking = null;
      if (dialog.returnValue === "entered") resolve();
      else reject(new Failure(401, "This server asks for an API key."));
    };
    dialog.showModal();
  });
  return asking;
}

const pause = (seconds, signal) => new Promise((resolve, reject) => {
  const timer = setTimeout(resolve, seconds * 1000);
  signal?.addEventListener("abort", () => {
    clearTimeout(timer);
    reject(signal.reason);
  }, { once: true });
});

// Sends a request and returns the response, whose status is 2xx. Asks for the API key if it is
// missing or wrong. A busy server is asked again when it says so; `onBusy` learns the seconds.
async function send(path, { body, signal, onBusy } = {}) {
  for (let busy = 0; ;) {
    const used = key;
    let response;
    try {
      response = await fetch(path, {
        method: body ? "POST" : "GET",
        headers: body ? { ...headers(), "Content-Type": "application/json" } : headers(),
        body: body && JSON.stringify(body), signal, credentials: "same-origin",
      });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Failure(0, "The server cannot be reached.");
    }
    if (response.ok) return response;
    if (response.status === 401) {
      if (used === key) await askForKey(used !== "");
      continue;
    }
    if (response.status === 429 && ++busy <= 5) {
      const seconds = Math.min(30, Math.max(1, parseInt(response.headers.get("Retry-After")) || 1));
      onBusy?.(seconds);
      await pause(seconds, signal);
      continue;
    }
    let message = "";
    try { message = (await response.json()).error?.message ?? ""; } catch { /* not JSON */ }
    throw new Failure(response.status, sentence(message)
      || `The server answered with status ${response.status}.`);
  }
}

export const request = async (path, options) => (await send(path, options)).json();

function sentence(text) {
  text = text.trim();
  const start = /^[a-z]+ /.test(text) ? text[0].toUpperCase() : text.slice(0, 1);
  return text && start + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");
}

// Fills a box with the message of a failure and a button that tries again.
export function showFailure(box, failure, retry) {
  box.replaceChildren(make("p", {}, failure.message));
  if (retry) box.append(make("button", { type: "button", class: "solid", onclick: retry }, "Try again"));
  box.hidden = false;
}

// MARK: images

// Images cannot send a key: with one, they are fetched when they come near the window.
const near = new IntersectionObserver(entries => {
  for (const { isIntersecting, target } of entries) {
    if (!isIntersecting) continue;
    near.unobserve(target);
    target.clipLoad?.();
  }
}, { rootMargin: "600px" });

// Sets the source of an image to a path of the server.
export function load(image, path, isLazy = true) {
  if (!key) {
    image.loading = isLazy ? "lazy" : "eager";
    image.src = path;
    return;
  }
  image.clipLoad = async () => {
    image.clipPath = path;
    try {
      const url = URL.createObjectURL(await (await send(path)).blob());
      const free = () => URL.revokeObjectURL(url);
      image.addEventListener("load", free, { once: true });
      image.addEventListener("error", free, { once: true });
      if (image.clipPath === path) image.src = url;
      else free();
    } catch {
      image.dispatchEvent(new Event("error"));
    }
  };
  if (isLazy) near.observe(image);
  else image.clipLoad();
}

// Opens an image in a new tab. Returns false if the link does so by itself.
export function openOriginal(path) {
  if (!key) return false;
  const tab = open("", "_blank");  // at once: later ones are blocked
  send(path).then(response => response.blob()).then(blob => {
    const url = URL.createObjectURL(blob);
    if (tab) tab.location.replace(url);
    setTimeout(() => URL.revokeObjectURL(url), 60_000);
  }).catch(() => tab?.close());
  return true;
}

export const dataURL = file => new Promise((resolve, reject) => {
  const reader = new FileReader();
  reader.onload = () => resolve(reader.result);
  reader.onerror = () => reject(new Failure(0, `${file.name} cannot be read.`));
  reader.readAsDataURL(file);
});

// Calls `take` with image files that are chosen, dropped or pasted, and `refuse` with a message if
// there is none among the files.
export function takeImages(chooser, take, refuse) {
  const offer = files => {
    const images = [...files].filter(file => file.type.startsWith("image/"));
    if (images.length) take(images);
    else refuse(files.length ? `${files[0].name} is not an image.` : "Only image files can be dropped here.");
  };
  chooser.addEventListener("click", () => $("file").click());
  $("file").addEventListener("change", () => {
    offer($("file").files);
    $("file").value = "";
  });
  addEventListener("paste", event => {
    if (event.clipboardData?.files.length) {
      event.preventDefault();
      offer(event.clipboardData.files);
    }
  });

  // `dragover` is sent all the time while something is over the page, `dragleave` for every element.
  let timer = 0;
  const hide = () => { $("over").hidden = true; };
  addEventListener("dragover", event => {
    event.preventDefault();
    clearTimeout(timer);
    timer = setTimeout(hide, 300);
    $("over").hidden = ![...event.dataTransfer.types].includes("Files");
  });
  addEventListener("drop", event => {
    event.preventDefault();
    hide();
    offer(event.dataTransfer.files);
  });
}
