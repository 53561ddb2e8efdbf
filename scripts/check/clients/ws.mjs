// The package `ws` of npm, and the smallest program around it: a cursor, and a wait of three seconds.
import { WebSocket } from "ws";

let cursor = 0;
let socket;

function connect() {
  const url = `${process.env.SERVER.replace("http", "ws")}/websocket?after=${cursor}`;
  socket = new WebSocket(url, "json");
  socket.on("message", (text) => {
    const update = JSON.parse(text);
    console.log(JSON.stringify(update));
    cursor = update.id ?? cursor;
  });
  socket.on("error", ({ message }) => console.error(message));
  socket.on("close", () => setTimeout(connect, 3000));
}

connect();
process.on("SIGTERM", () => {
  socket.close();
  setTimeout(() => process.exit(), 500);
});
