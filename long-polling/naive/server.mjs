// Long polling, as everybody writes it first: node long-polling/naive/server.mjs
// What it loses is told in the walkthrough, and by scripts/check.sh.
import { createServer } from "node:http";

const port = process.env.PORT ?? 8002;
const waiting = new Set();
let id = 0;

function publish(text) {
  const update = { id: ++id, update: text };
  for (const response of waiting) answer(response, 200, [update]);
  waiting.clear();
  return update;
}

function answer(response, status, value) {
  response.writeHead(status, { "Content-Type": "application/json" }).end(JSON.stringify(value));
}

const server = createServer((request, response) => {
  if (request.method === "POST") {
    let body = "";
    request.on("data", (part) => (body += part));
    request.on("end", () => answer(response, 201, publish(JSON.parse(body).update)));
  } else {
    waiting.add(response);
    const nothing = () => waiting.delete(response) && response.writeHead(204).end();
    setTimeout(nothing, 25_000);
  }
});

const generate = () => console.log(`SENT: ${publish(`Real-Time Update ${id + 1}`).update}`);
server.listen(port, () => {
  console.log(`Listening at http://localhost:${port}`);
  generate();
  const seconds = 2 + Math.floor(Math.random() * 8);
  if (process.env.QUIET !== "1") setInterval(generate, seconds * 1000);
});
