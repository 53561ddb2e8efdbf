// Long polling with express: each request that waits is a function that answers it.
import express from "express";

const app = express();
const waiting = new Set();
let id = 0;

app.post("/api/messages", express.json(), (request, response) => {
  const update = { id: ++id, update: request.body.update };
  for (const answer of waiting) answer(200, [update]);
  response.status(201).json(update);
});

app.get("/api/messages/long-poll", (request, response) => {
  const answer = (status, updates) => {
    clearTimeout(timeout);
    waiting.delete(answer);
    response.status(status).json(updates);
  };
  const timeout = setTimeout(() => answer(204), 25_000);
  waiting.add(answer);
  response.on("close", () => waiting.delete(answer));
});

const { PORT = 8002 } = process.env;
app.listen(PORT, () => console.log(`Listening at http://localhost:${PORT}`));
