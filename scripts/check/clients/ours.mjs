// The pages' own client (public/client/), outside of a page: what it takes to keep one of the techniques'
// connections in Node, or in any other program. `SERVER=http://localhost:8003 node ours.mjs server-sent-events`
import { connection, keepConnected, Refused } from "../../../public/client/connection.js";
import { events, isStream } from "../../../public/client/event-stream.js";
import { createInterface } from "node:readline";

console.debug = console.error; // stdout is for updates
const server = process.env.SERVER;
const technique = process.argv[2];
const print = (value) => console.log(JSON.stringify(value));
let cursor = 0;
let socket;

function update({ id, update, event }) {
  print({ id, update, event });
  cursor = id;
}

// Each of these is called again and again, with a line: it says when it works, and returns or throws
// when it is over.
const techniques = {
  "polling": (line) => poll(line, "/api/messages", 10),
  "long-polling": (line) => poll(line, "/api/messages/long-poll", 30),

  async "server-sent-events"(line) {
    const headers = { "Last-Event-ID": cursor };
    const response = await fetch(`${server}/server-sent-events`, { headers, signal: line.cut });
    isStream(response);
    line.works();
    for await (const event of events(response, stream, () => line.heard())) {
      line.stayAway = (stream.retry ?? 0) / 1000;
      const id = Number(event.lastEventId) || undefined;
      if (event.type === "gap") print({ gap: true });
      else if (event.type === "message") update({ id, update: event.data });
      else if (event.type === "greeting") update({ id, update: event.data, event: event.type });
    }
  },

  "websockets": (line) => new Promise((_, lost) => {
    socket = new WebSocket(`${server.replace("http", "ws")}/websocket?after=${cursor}`, "json");
    line.cut.onabort = () => socket.close();
    socket.onopen = () => line.works();
    socket.onclose = socket.onerror = lost; // Node 20 says no more than an error, where nobody answers
    socket.onmessage = ({ data }) => {
      const value = JSON.parse(data);
      if (value.gap) print(value);
      else update(value);
    };
  }),
};
const stream = {};

async function poll(line, path, seconds) {
  for (;;) {
    line.answersWithin(seconds);
    const request = fetch(`${server}${path}?after=${cursor}`, { signal: line.cut });
    const response = await (technique === "polling" ? request : line.held(request));
    if (!response.ok && response.status !== 304) throw new Refused(response);
    const updates = response.status === 200 ? await response.json() : [];
    line.works();
    if (response.headers.has("Feed-Gap")) print({ gap: true });
    updates.forEach(update);
    if (technique === "polling") await new Promise((done) => setTimeout(done, 2000));
  }
}

keepConnected(techniques[technique]);
process.on("SIGTERM", () => {
  connection.cut(); // a WebSocket says goodbye
  setTimeout(() => process.exit(), 200);
});
