// A client of any of the techniques, made of sockets, that is right; or wrong in one thing: MISTAKE in
// its environment says in which. `node client.mjs polling`; `--mistakes` lists them all.
import { connect } from "node:net";
import { randomBytes } from "node:crypto";
import { createInterface } from "node:readline";

// The sentences that it breaks, its technique, and what is wrong.
const MISTAKES = `
  C1.1 C1.2 polling: asks elsewhere
  C1.1 C1.2 long-polling: asks once
  C1.1 C1.2 polling: asks every minute
  C1.2 server-sent-events: prints no JSON
  C1.2 websockets: prints more
  C1.2 polling: prints them in reverse
  C1.3 polling: trims texts
  C1.3 server-sent-events: escapes texts
  C1.3 websockets: keeps one line
  C1.4 long-polling: decodes each piece
  C1.4 websockets: takes a piece for a frame
  C1.4 C1.6 server-sent-events: takes a piece for lines
  C1.5 polling: knows all members
  C1.5 server-sent-events: prints comments
  C1.5 websockets: ends at a pong
  C1.6 server-sent-events: knows LF only
  C1.6 server-sent-events: keeps the BOM
  C1.6 server-sent-events: takes the last data
  C1.7 websockets: sends no mask
  C1.7 websockets: takes fragments for messages
  C1.7 websockets: has an old version
  C1.8 websockets: sends no pong
  C1.8 websockets: sends an empty pong
  C1.8 websockets: sends no close
  C2.1 polling: prints no id
  C2.1 websockets: prints no id
  C2.1 server-sent-events: hears no names
  C2.2 polling: has no cursor
  C2.2 server-sent-events: has the first cursor for ever
  C2.2 websockets: is one behind
  C2.3 server-sent-events: takes half an event
  C2.3 long-polling: takes half an array
  C2.3 websockets: ends at a reset
  C2.4 polling: ends where nobody listens
  C2.4 server-sent-events: forgets where nobody listens
  C2.4 websockets: ends where nobody listens
  C2.5 polling: takes a hundred
  C2.5 long-polling: takes 16 KB
  C2.5 server-sent-events: takes a hundred
  C2.6 polling: takes 304 for the beginning
  C2.6 long-polling: takes 204 for the beginning
  C2.6 long-polling: ends at a 204
  C2.7 server-sent-events: forgets at a new stream
  C2.7 server-sent-events: forgets without an id
  C2.7 server-sent-events: takes any id
  C2.8 polling: follows nobody
  C2.8 long-polling: asks at the old place
  C2.8 server-sent-events: follows nobody
  C2.9 polling: tells no gap
  C2.9 server-sent-events: tells a gap as an update
  C2.9 websockets: tells a gap too late
  C2.10 websockets: ends at a 1000
  C2.10 websockets: ends at a 1011
  C2.10 websockets: ends at a close without a code
  C3.1 long-polling: asks at once
  C3.1 websockets: waits for three seconds
  C3.1 server-sent-events: waits for one second
  C3.2 polling: waits without chance
  C3.2 websockets: waits without chance
  C3.2 server-sent-events: waits for three seconds
  C3.3 polling: waits longer for ever
  C3.3 websockets: waits longer for ever
  C3.3 long-polling: waits for half a minute
  C3.4 polling: comes before
  C3.4 long-polling: takes seconds for milliseconds
  C3.4 server-sent-events: comes before
  C3.5 server-sent-events: has its own retry
  C3.5 server-sent-events: takes milliseconds for less
  C3.5 server-sent-events: takes any retry
  C3.6 websockets: knows no codes
  C3.6 websockets: knows no 1012
  C3.6 websockets: knows no 1013
  C3.7 polling: asks on where it is forbidden
  C3.7 server-sent-events: asks on where it is forbidden
  C3.7 websockets: asks on where it is forbidden
  C3.8 polling: asks by an interval
  C3.8 server-sent-events: makes a second one
  C3.8 websockets: wakes up twice
  C3.9 long-polling: has no end of patience
  C3.9 server-sent-events: has no end of patience
  C3.9 websockets: takes pings for silence
  C3.10 polling: ends at nonsense
  C3.10 server-sent-events: takes any answer
  C3.10 websockets: prints nonsense
  C3.11 polling: hears no SIGTERM
  C3.11 long-polling: takes its time to end
  C3.11 websockets: ends without a close
  C3.12 polling: swallows
  C3.12 websockets: swallows
  C3.12 server-sent-events: says it twice
`;
const technique = process.argv[2];
if (technique === "--mistakes") {
  console.log(MISTAKES.trim().replace(/^ +/gm, ""));
  process.exit();
}
const is = (mistake) => process.env.MISTAKE === mistake;
const server = new URL(process.env.SERVER);
const sleep = (seconds) => new Promise((done) => setTimeout(done, seconds * 1000));
const stop = (why) => {
  console.error(why);
  process.exit(1);
};

let cursor = 0;
let attempts = 0; // that have failed since something came
let atLeast = 0; // seconds that the server wants us to stay away
let retry; // milliseconds, as a stream says
let line; // the connection of the moment

// --- what is printed

function print(value) {
  if (is("prints no JSON")) return console.log(value.update);
  if (is("prints more")) console.log("received:");
  console.log(JSON.stringify(value));
}

let printedOf = 0;
function update({ id, update, event, ...more }, ofStream) {
  if (!is("waits longer for ever")) attempts = 0;
  if (is("knows all members") && Object.keys(more).length) stop("an unknown member");
  if (is("takes a hundred") && ++printedOf > 100) return;
  if (is("trims texts")) update = update.trim();
  if (is("escapes texts")) update = update.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
  if (is("keeps one line")) update = update.split("\n")[0];
  const whole = event ? { id, update, event } : { id, update };
  print(is("prints no id") ? { update } : whole);
  if (is("has the first cursor for ever") && cursor) return;
  if (id !== undefined) cursor = is("is one behind") ? cursor || id - 1 : id;
  if (is("is one behind")) cursor = id - 1;
}

// --- a connection, and HTTP/1.1 in it

const HOUR = 3600;
function patience() {
  if (is("has no end of patience")) return HOUR;
  return technique === "polling" ? 15 : 35;
}

// Bytes as they come: `more()` waits for some, `upTo(end)` and `exactly(count)` take them.
class Bytes {
  buffer = Buffer.alloc(0);
  #waiting = () => {};
  ended = false;

  constructor(socket) {
    socket.on("data", (data) => {
      this.pieces = data;
      this.buffer = Buffer.concat([this.buffer, data]);
      this.#waiting();
    });
    socket.on("error", (error) => (this.error = error));
    socket.on("close", () => {
      this.ended = true;
      this.#waiting();
    });
  }

  async more() {
    if (this.ended) throw this.error ?? new Error("it has ended");
    const arrived = new Promise((done) => (this.#waiting = done));
    const before = this.buffer.length;
    await arrived;
    if (this.buffer.length === before) throw this.error ?? new Error("it has ended");
  }

  async exactly(count) {
    while (this.buffer.length < count) await this.more();
    const bytes = this.buffer.subarray(0, count);
    this.buffer = this.buffer.subarray(count);
    return bytes;
  }

  async upTo(end) {
    for (;;) {
      const at = this.buffer.indexOf(end);
      if (at >= 0) return (await this.exactly(at + end.length)).toString("latin1");
      await this.more();
    }
  }

  any() {
    const bytes = this.buffer;
    this.buffer = Buffer.alloc(0);
    return bytes;
  }
}

async function request(method, path, { headers = {}, body = "" } = {}) {
  const socket = connect(server.port, "localhost");
  const bytes = new Bytes(socket);
  const head = { Host: server.host, "Content-Length": Buffer.byteLength(body), ...headers };
  if (!body) delete head["Content-Length"];
  const lines = Object.entries(head).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.write(`${method} ${path} HTTP/1.1\r\n${lines.join("")}\r\n${body}`);
  if (method === "GET") line = socket;
  socket.setTimeout(patience() * 1000, () => socket.destroy(new Error("no answer")));
  const answer = await bytes.upTo("\r\n\r\n");
  const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1]);
  if (!status) throw new Error("this is no HTTP");
  const fields = new Map(answer.split("\r\n").slice(1).map((field) => {
    const [name, ...value] = field.split(":");
    return [name.toLowerCase(), value.join(":").trim()];
  }));
  return { socket, bytes, status, fields };
}

// The body, piece by piece.
async function* body({ bytes, fields }) {
  if (fields.get("transfer-encoding") === "chunked") {
    for (;;) {
      const size = parseInt(await bytes.upTo("\r\n"), 16);
      if (!size) return;
      for (let left = size; left > 0;) {
        if (!bytes.buffer.length) await bytes.more();
        const part = await bytes.exactly(Math.min(left, bytes.buffer.length));
        left -= part.length;
        yield part;
      }
      await bytes.exactly(2);
    }
  }
  for (let left = Number(fields.get("content-length") ?? 0); left > 0;) {
    if (!bytes.buffer.length) await bytes.more();
    const part = await bytes.exactly(Math.min(left, bytes.buffer.length));
    left -= part.length;
    yield part;
  }
}

function fail(response) {
  const { status, fields } = response;
  const after = Number(fields.get("retry-after"));
  if (after && !is("comes before")) atLeast = is("takes seconds for milliseconds") ? after / 1000 : after;
  response.socket.destroy();
  if (is("asks on where it is forbidden") && status < 500) attempts = 0;
  throw new Error(`status ${status}`);
}

async function redirected(ask, path) {
  const response = await ask(path);
  if (response.status !== 307) return response;
  if (is("asks at the old place")) fail(response);
  response.socket.destroy();
  if (is("follows nobody")) stop("sent away");
  return ask(response.fields.get("location"));
}

// --- the techniques

const withCursor = (path) => (is("has no cursor") ? path : `${path}?after=${cursor}`);

async function poll(path) {
  if (is("asks elsewhere")) path = "/updates";
  if (is("asks by an interval")) setInterval(() => pollOnce(path).catch(() => {}), 1000);
  for (;;) {
    if (is("asks by an interval")) await sleep(HOUR);
    await pollOnce(path);
    if (is("asks once")) await sleep(HOUR);
    if (technique === "polling") await sleep(is("asks every minute") ? 60 : 0.5);
  }
}

async function pollOnce(path) {
  const response = await redirected((to) => request("GET", to), withCursor(path));
  const { status, socket } = response;
  if (is("takes 304 for the beginning") && status === 304) cursor = 0;
  if (is("takes 204 for the beginning") && status === 204) cursor = 0;
  if (is("ends at a 204") && status === 204) stop("no news");
  if (status === 200) await news(response);
  else if (status !== 204 && status !== 304) fail(response);
  socket.destroy();
  if (!is("waits longer for ever")) attempts = 0;
}

async function news(response) {
  let text = "";
  const parts = [];
  try {
    for await (const part of body(response)) {
      parts.push(part);
      text += part.toString(); // wrong, where a letter is cut
    }
  } catch (error) {
    if (!is("takes half an array")) throw error;
  }
  if (!is("decodes each piece")) text = Buffer.concat(parts).toString();
  if (is("takes half an array") || is("takes 16 KB")) {
    if (is("takes 16 KB")) text = text.slice(0, 16_384);
    text = text.slice(0, text.lastIndexOf("}") + 1) + "]";
  }
  let updates;
  try {
    updates = JSON.parse(text);
  } catch (error) {
    if (is("ends at nonsense")) stop(error);
    throw error;
  }
  if (is("prints them in reverse")) updates.reverse();
  if (response.fields.has("feed-gap") && !is("tells no gap")) print({ gap: true });
  updates.forEach((one) => update(one));
}

async function listen() {
  const headers = { Accept: "text/event-stream" };
  if (cursor) headers["Last-Event-ID"] = cursor;
  if (is("forgets at a new stream")) cursor = 0;
  const ask = (to) => request("GET", to, { headers });
  const response = await redirected(ask, "/server-sent-events");
  const kind = response.fields.get("content-type");
  const isStream = response.status === 200 && kind?.startsWith("text/event-stream");
  if (!isStream && !is("takes any answer")) fail(response);
  let [buffer, data, id, name, first, afterCr] = ["", [], cursor, "", true, false];
  const take = (line) => {
    if (line === "") {
      if (data.length) event(data.join("\n"), id, name);
      [data, name] = [[], ""];
      if (is("forgets without an id")) id = 0;
      return;
    }
    const colon = line.indexOf(":");
    if (colon === 0 && is("prints comments")) print({ update: line.slice(1) });
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "data") data = is("takes the last data") ? [value] : [...data, value];
    else if (field === "event") name = value;
    else if (field === "id" && (is("takes any id") || !value.includes("\0"))) id = Number.parseInt(value, 10);
    else if (field === "retry" && (is("takes any retry") || /^\d+$/.test(value))) retry = Number(value) || 1;
  };
  const decoder = new TextDecoder("utf-8", { ignoreBOM: is("keeps the BOM") });
  try {
    for await (const part of body(response)) {
      buffer += decoder.decode(part, { stream: true });
      if (first && buffer) [first] = [false];
      if (is("takes a piece for lines")) {
        buffer.split("\n").forEach(take);
        buffer = "";
        continue;
      }
      if (is("knows LF only")) {
        const lines = buffer.split("\n");
        buffer = lines.pop();
        lines.forEach(take);
        continue;
      }
      for (;;) {
        if (afterCr && buffer.startsWith("\n")) buffer = buffer.slice(1);
        if (buffer) afterCr = false;
        const end = /\r\n|\r|\n/.exec(buffer);
        if (!end) break;
        take(buffer.slice(0, end.index));
        buffer = buffer.slice(end.index + end[0].length);
        afterCr = end[0] === "\r";
      }
    }
  } finally {
    if (is("takes half an event")) [buffer, ""].forEach(take);
  }
}

function event(text, id, name) {
  if (name === "gap" && !is("tells a gap as an update")) return print({ gap: true });
  if (name && name !== "greeting" && name !== "gap") return;
  if (is("hears no names")) name = "";
  update({ id: id || undefined, update: text, event: name || undefined });
  if (is("forgets without an id") && !id) cursor = 0;
}

const sending = new Set(); // texts that are on their way
function frame(first, payload) {
  const bytes = Buffer.from(payload);
  const length = bytes.length < 126 ? [bytes.length] : [126, bytes.length >> 8, bytes.length & 255];
  if (is("sends no mask")) return Buffer.concat([Buffer.from([first, ...length]), bytes]);
  const mask = randomBytes(4);
  length[0] |= 0x80;
  return Buffer.concat([Buffer.from([first, ...length]), mask, bytes.map((byte, at) => byte ^ mask[at % 4])]);
}

async function speak() {
  const headers = {
    Upgrade: "websocket", Connection: "Upgrade",
    "Sec-WebSocket-Version": is("has an old version") ? 8 : 13,
    "Sec-WebSocket-Key": randomBytes(16).toString("base64"), "Sec-WebSocket-Protocol": "json",
  };
  const response = await request("GET", withCursor("/websocket"), { headers });
  const { bytes, socket, status, fields } = response;
  if (status !== 101) fail(response);
  if (fields.get("sec-websocket-accept")?.startsWith("AAAA")) throw new Error("a wrong accept");
  let [message, late] = [[], false];
  try {
    for (;;) {
      const [first, second] = await bytes.exactly(2);
      if (is("takes pings for silence") && (first & 15) === 9) socket.setTimeout(5000);
      const length = second === 126 ? (await bytes.exactly(2)).readUInt16BE()
        : second === 127 ? Number((await bytes.exactly(8)).readBigUInt64BE()) : second & 127;
      const whole = is("takes a piece for a frame") ? Math.min(length, bytes.buffer.length) : length;
      const payload = await bytes.exactly(whole);
      const kind = first & 15;
      if (kind === 8) return closed(socket, payload);
      if (kind === 9 && !is("sends no pong")) socket.write(frame(0x8a, is("sends an empty pong") ? "" : payload));
      if (kind === 10 && is("ends at a pong")) stop("a pong");
      if (kind > 10 || (kind > 2 && kind < 8)) throw new Error("there is no such frame");
      if (kind > 2) continue;
      message.push(payload);
      if (!(first & 0x80) && !is("takes fragments for messages")) continue;
      const text = Buffer.concat(message).toString();
      message = [];
      let value;
      try {
        value = JSON.parse(text);
      } catch {
        if (is("prints nonsense")) print({ update: text });
        continue;
      }
      sending.delete(value.update);
      if (value.gap && is("tells a gap too late")) late = true;
      else if (value.gap) print({ gap: true });
      else update(value);
      if (late && !value.gap) [late] = [print({ gap: true })];
    }
  } catch (error) {
    if (is("ends at a reset") && error.code === "ECONNRESET") stop(error);
    throw error;
  } finally {
    socket.destroy();
    if (!is("swallows")) sending.forEach((unsent) => print({ unsent }));
    sending.clear();
  }
}

function closed(socket, payload) {
  const code = payload.length ? payload.readUInt16BE() : 1005;
  if (!is("sends no close")) socket.end(frame(0x88, payload));
  if (is("ends at a 1000") && code === 1000) stop(code);
  if (is("ends at a 1011") && code === 1011) stop(code);
  if (is("ends at a close without a code") && code === 1005) stop(code);
  const busy = [1012, 1013].filter((one) => !is(`knows no ${one}`) && !is("knows no codes"));
  if (busy.includes(code)) atLeast = 5;
}

// --- sending

createInterface({ input: process.stdin }).on("line", async (text) => {
  if (technique === "websockets") {
    sending.add(text);
    return line?.write(frame(0x81, text));
  }
  try {
    const headers = { "Content-Type": "application/json" };
    const body = JSON.stringify({ update: text });
    const response = await request("POST", "/api/messages", { headers, body });
    if (response.status !== 201) throw new Error(`status ${response.status}`);
    response.socket.destroy();
  } catch {
    if (!is("swallows")) print({ unsent: text });
    if (is("says it twice")) print({ unsent: text });
  }
});

process.on("SIGTERM", async () => {
  if (is("hears no SIGTERM")) return;
  if (is("takes its time to end")) await sleep(20);
  if (technique === "websockets" && line && !is("ends without a close")) line.write(frame(0x88, "\x03\xe9"));
  setTimeout(() => process.exit(0), 100);
});

// --- for ever

if (is("wakes up twice")) {
  let ticked = Date.now();
  setInterval(() => {
    if (Date.now() - ticked > 2000) setTimeout(() => speak().catch(() => {}), 1500);
    ticked = Date.now();
  }, 500);
}
if (is("makes a second one")) setTimeout(() => listen().catch(() => {}), 4000);

function wait() {
  if (is("asks at once")) return 0;
  if (is("waits for one second")) return 1;
  if (is("waits for three seconds")) return 3;
  if (is("waits for half a minute")) return 30;
  if (is("waits longer for ever")) return 3 ** attempts++; // so that it is late by far, at last
  if (is("asks on where it is forbidden") && attempts === 0) return 1;
  const least = retry === undefined || is("has its own retry") ? 0.8 : retry / 1000;
  const longest = Math.max(10, least);
  const chance = is("waits without chance") ? 3 : 0.5 + Math.random() / 2;
  const own = Math.min(2 ** attempts++, longest) * chance;
  const told = technique === "server-sent-events" && attempts === 1 && retry !== undefined;
  return Math.max(told && !is("has its own retry") ? 0 : own, least * (is("takes milliseconds for less") ? 0.1 : retry ? 1 : 0), atLeast);
}

for (;;) {
  atLeast = 0;
  try {
    if (technique === "server-sent-events") await listen();
    else if (technique === "websockets") await speak();
    else await poll(technique === "polling" ? "/api/messages" : "/api/messages/long-poll");
  } catch (error) {
    console.error(error.message);
    if (error.code === "ECONNREFUSED" || error.name === "AggregateError") {
      if (is("ends where nobody listens")) stop(error);
      if (is("forgets where nobody listens")) cursor = 0;
    }
  }
  line?.destroy();
  await sleep(wait());
}
