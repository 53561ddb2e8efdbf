// Server-sent events, as everybody writes them first: node server-sent-events/naive/server.mjs
// What it loses is told in the walkthrough, and by scripts/check.sh.
import { createServer } from "node:http";

const port = process.env.PORT ?? 8003;
const clients = new Set();
let id = 0;

function publish(text) {
  for (const client of clients) client.write(`data: ${text}\n\n`);
  return { id: ++id, update: text };
}

const server = createServer((request, response) => {
  if (request.method === "POST") {
    let body = "";
    request.on("data", (part) => (body += part));
    request.on("end", () => {
      const update = publish(JSON.parse(body).update);
      response.writeHead(201, { "Content-Type": "application/json" }).end(JSON.stringify(update));
    });
  } else {
    response.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-cache" });
    response.flushHeaders();
    clients.add(response);
    response.on("close", () => clients.delete(response));
  }
});

const generate = () => console.log(`SENT: ${publish(`Real-Time Update ${id + 1}`).update}`);
server.listen(port, () => {
  console.log(`Listening at http://localhost:${port}`);
  generate();
  const seconds = 2 + Math.floor(Math.random() * 8);
  if (process.env.QUIET !== "1") setInterval(generate, seconds * 1000);
});
