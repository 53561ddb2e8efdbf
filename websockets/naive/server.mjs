// WebSockets, as everybody writes them first: node websockets/naive/server.mjs
// (Without a library for the frames: of a client's, it knows short ones only, one in each packet.)
// What it loses is told in the walkthrough, and by scripts/check.sh.
import { createHash } from "node:crypto";
import { createServer } from "node:http";

const port = process.env.PORT ?? 8004;
const magic = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"; // RFC 6455 §1.3
const sockets = new Set();
let id = 0;

function publish(text) {
  const bytes = Buffer.from(text);
  const length = bytes.length < 126 ? [bytes.length] : [126, bytes.length >> 8, bytes.length & 255];
  for (const socket of sockets) socket.write(Buffer.from([0x81, ...length, ...bytes]));
  return { id: ++id, update: text };
}

const server = createServer((request, response) => {
  if (request.method !== "POST") return response.writeHead(404).end();
  let body = "";
  request.on("data", (part) => (body += part));
  request.on("end", () => {
    const update = publish(JSON.parse(body).update);
    response.writeHead(201, { "Content-Type": "application/json" }).end(JSON.stringify(update));
  });
});

server.on("upgrade", (request, socket) => {
  const key = request.headers["sec-websocket-key"];
  const accept = createHash("sha1").update(key + magic).digest("base64");
  socket.write("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n");
  socket.write(`Sec-WebSocket-Accept: ${accept}\r\n\r\n`);
  sockets.add(socket);
  socket.on("close", () => sockets.delete(socket));
  socket.on("error", () => socket.destroy());
  socket.on("data", (frame) => {
    if (frame[0] !== 0x81) return socket.end(); // whatever is no text says goodbye
    const [mask, masked] = [frame.subarray(2, 6), frame.subarray(6)];
    const text = masked.map((byte, at) => byte ^ mask[at % 4]).toString();
    console.log(`Received message => ${text}`);
    publish(text);
  });
});

const generate = () => console.log(`SENT: ${publish(`Real-Time Update ${id + 1}`).update}`);
server.listen(port, () => {
  console.log(`Listening at http://localhost:${port}`);
  generate();
  const seconds = 2 + Math.floor(Math.random() * 8);
  if (process.env.QUIET !== "1") setInterval(generate, seconds * 1000);
});
