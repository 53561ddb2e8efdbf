// WebSockets with ws, beside Node's own HTTP server for the POST.
import { createServer } from "node:http";
import { json } from "node:stream/consumers";
import { WebSocketServer } from "ws";

const server = createServer(async (request, response) => {
  const update = publish((await json(request)).update);
  response.writeHead(201, { "Content-Type": "application/json" }).end(JSON.stringify(update));
});
const sockets = new WebSocketServer({ server });
let id = 0;

function publish(text) {
  for (const socket of sockets.clients) socket.send(text);
  return { id: ++id, update: text };
}

sockets.on("connection", (socket) => {
  socket.on("message", (message) => publish(message.toString()));
  socket.on("error", () => socket.terminate());
});

const { PORT = 8004 } = process.env;
server.listen(PORT, () => console.log(`Listening at http://localhost:${PORT}`));
