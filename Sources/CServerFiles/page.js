// Starts the page: search if the server has an index, otherwise zero-shot classification.
import { $, request, showFailure } from "./page-tools.js";
import { startSearch } from "./page-search.js";
import { startZeroshot } from "./page-zeroshot.js";

async function start() {
  $("trouble").hidden = true;
  try {
    const page = await request("page.json");
    document.body.dataset.mode = page.indexes.length ? "search" : "zeroshot";
    (page.indexes.length ? startSearch : startZeroshot)(page);
  } catch (failure) {
    showFailure($("trouble"), failure, start);
  }
}

start();
