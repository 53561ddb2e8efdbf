// Polling, as everybody writes it first: node polling/naive/server.mjs
// What it loses is told in the walkthrough, and by scripts/check.sh.
import { createServer } from "node:http";

const port = process.env.PORT ?? 8001;
const updates = [];

function publish(text) {
  const update = { id: updates.length + 1, update: text };
  updates.push(update);
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
    answer(response, 200, request.url === "/" ? updates.at(-1) : updates);
  }
});

const generate = () => console.log(`SENT: ${publish(`Real-Time Update ${updates.length + 1}`).update}`);
server.listen(port, () => {
  console.log(`Listening at http://localhost:${port}`);
  generate();
  const seconds = 2 + Math.floor(Math.random() * 8);
  if (process.env.QUIET !== "1") setInterval(generate, seconds * 1000);
});
