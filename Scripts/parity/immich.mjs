// Sends requests as immich's server does, with the fetch, FormData and Blob of Node.js (undici).
//
//     node Scripts/parity/immich.mjs URL <REQUESTS
//
// Each line of standard input is a JSON object {"entries": {…}} with "image" (the path of a file)
// or "text". Prints a JSON object {"status", "body"} for each. The first answer is that of /ping.

import { readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';

const url = process.argv[2];
const ping = await fetch(new URL('/ping', url), { signal: AbortSignal.timeout(2000) });
console.log(JSON.stringify({ status: ping.status, body: await ping.text() }));

for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line);
  const form = new FormData();
  form.append('entries', JSON.stringify(request.entries));
  if ('image' in request) {
    form.append('image', new Blob([new Uint8Array(await readFile(request.image))]));
  } else if ('text' in request) {
    form.append('text', request.text);
  }
  const response = await fetch(new URL('/predict', url), { method: 'POST', body: form });
  const body = response.ok ? await response.json() : await response.text();
  console.log(JSON.stringify({ status: response.status, body }));
}
