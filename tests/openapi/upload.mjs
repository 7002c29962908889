// What a front end does with tus-js-client: send a file, break off in the middle, and go on with the same upload.
//   node upload.mjs ENDPOINT TOKEN FILE PROXY_HOST_ID BREAK_AT
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { basename } from "node:path";
import { Upload } from "tus-js-client";

const [endpoint, token, path, proxy_host_id, breakAt] = process.argv.slice(2);
const { size } = await stat(path);

function begin(more) {
  return new Promise((resolve, reject) => {
    const upload = new Upload(createReadStream(path), {
      endpoint,
      uploadSize: size,
      headers: { Authorization: `Bearer ${token}` },
      metadata: { filename: basename(path), proxy_host_id },
      retryDelays: [100, 200, 400, 800, 1600, 3200],
      onError: reject,
      onSuccess: () => resolve(upload.url),
      ...more(() => upload, resolve),
    });
    upload.start();
  });
}

const url = await begin((upload, resolve) => ({
  chunkSize: Math.ceil(size / 8),
  onChunkComplete: (_, accepted) => {
    if (accepted >= Number(breakAt)) upload().abort().then(() => resolve(upload().url));
  },
}));
const sent = await begin(() => ({ uploadUrl: url, chunkSize: Math.ceil(size / 3) }));
if (sent !== url) throw new Error(`${sent} is not ${url}`);
console.log(url);
