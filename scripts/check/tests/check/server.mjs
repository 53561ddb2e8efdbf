// A server of any of the techniques that keeps levels 1 and 2 of feed/WIRE.md, and a little of level 3; or
// is wrong in one thing: MISTAKE in its environment says in which. `node server.mjs polling`; `--mistakes` lists them all.
import { createHash } from "node:crypto";
import { createServer } from "node:http";

// The sentences that it breaks, its technique, and what is wrong.
const MISTAKES = `
  1.1 polling: says something else first
  1.1 long-polling: says another port
  1.1 websockets: says so before it listens
  1.2 polling: answers with 200
  1.2 long-polling: answers with HTML
  1.2 server-sent-events: answers without the text
  1.2 websockets: answers with an id in quotes
  1.2 polling: confirms without end
  1.3 polling: keeps four and no more
  1.3 server-sent-events: tells the newest one only
  1.3 websockets: tells the first one only
  1.4 polling: turns in a ring
  1.4 server-sent-events: tells each after a random wait
  1.4 websockets: tells some in reverse
  1.5 server-sent-events: has each id twice
  1.5 server-sent-events: falls back with every third
  1.5 websockets: counts down
  1.6 polling: has nothing before anybody has published
  1.6 polling: tells the oldest
  1.6 polling: takes a second for the newest
  1.7 polling: tells the newest first
  1.7 polling: tells the newest one only
  1.7 polling: takes a second for all
  1.7 polling: tells no array
  1.7 polling: tells an array without end
  1.8 long-polling: does not wait
  1.8 long-polling: wakes the first one only
  1.8 long-polling: tells all that is kept
  1.8 long-polling: tells no array
  1.8 long-polling: tells each another id
  1.8 long-polling: refuses a second connection
  1.9 long-polling: says [] after 25 seconds
  1.9 long-polling: says 204 after 10 seconds
  1.9 long-polling: hangs up after 25 seconds
  1.10 server-sent-events: knows nothing of /events
  1.10 server-sent-events: says text/plain
  1.10 server-sent-events: has another charset
  1.10 server-sent-events: ends after an event
  1.10 server-sent-events: sends 64 KB at once
  1.10 server-sent-events: has a line without end
  1.10 server-sent-events: has an event without end
  1.10 server-sent-events: has comments without end
  1.11 server-sent-events: has a field date
  1.11 server-sent-events: names each event
  1.11 server-sent-events: has JSON for data
  1.12 websockets: opens nothing at the root
  1.12 websockets: has a wrong accept
  1.12 websockets: wants small letters
  1.12 websockets: speaks json to everybody
  1.13 websockets: masks its frames
  1.13 websockets: has binary frames
  1.13 websockets: has JSON for everybody
  1.14 websockets: tells the others only
  1.14 websockets: tells the sender only
  1.14 websockets: publishes JSON only
  2.1 polling: counts from 1
  2.1 server-sent-events: has ids in milliseconds
  2.1 websockets: has ids in nanoseconds
  2.2 polling: repeats the cursor's own
  2.2 2.13 polling: remembers its answers
  2.2 long-polling: looks, and then waits
  2.2 server-sent-events: looks, and then waits
  2.2 websockets: looks, and then waits
  2.2 websockets: tells the newest without a cursor
  2.3 polling: tells nothing twice
  2.3 long-polling: deletes what it has told
  2.3 server-sent-events: deletes what it has told
  2.3 websockets: ends at a reset
  2.4 polling: keeps a hundred
  2.4 long-polling: keeps 1,001
  2.4 server-sent-events: goes on from the newest
  2.4 websockets: keeps all
  2.5 polling: says Feed-Gap: 1
  2.5 polling: says nothing of a gap
  2.5 long-polling: always tells a gap
  2.5 server-sent-events: has an id for a gap
  2.5 server-sent-events: has no data for a gap
  2.5 websockets: tells a gap as 1
  2.5 websockets: tells a gap too late
  2.6 polling: tells no gap after a start
  2.6 long-polling: refuses an old cursor
  2.6 server-sent-events: tells a gap after a start twice
  2.6 websockets: tells no gap after a start
  2.7 polling: takes a large cursor for none
  2.7 long-polling: refuses a cursor beyond the newest
  2.7 server-sent-events: tells no gap beyond the newest
  2.7 websockets: waits beyond the newest
  2.8 server-sent-events: has queues of twenty
  2.8 websockets: waits for nobody
  2.8 websockets: drops who is behind
  2.9 polling: gives an answer five seconds
  2.9 server-sent-events: gives a write five seconds
  2.9 websockets: drops who sends no pong
  2.10 polling: tells no names
  2.10 long-polling: confirms no names
  2.10 server-sent-events: tells no names
  2.10 websockets: tells no names
  2.11 polling: trims texts
  2.11 long-polling: cuts long texts
  2.11 server-sent-events: makes events of lines
  2.11 server-sent-events: leaves line ends
  2.11 websockets: escapes texts
  2.12 polling: makes another one after 8 seconds
  2.12 long-polling: does not print the first one
  2.12 server-sent-events: draws its wait once
  2.12 websockets: waits for three seconds
  2.13 polling: says 204 for nothing
  2.13 polling: says 304 for nothing
  2.13 polling: takes a second for nothing
  2.14 long-polling: knows no preference
  2.14 long-polling: takes 0 for nothing
  2.14 long-polling: takes the last preference
  2.14 long-polling: waits for more than a minute
  2.14 long-polling: applies another time
  2.15 server-sent-events: has no retry
  2.15 server-sent-events: has a retry of 100
  2.15 server-sent-events: has no ids
  2.15 server-sent-events: has ids of its own
  2.16 server-sent-events: knows no Last-Event-ID
  2.16 server-sent-events: lets after win
  2.16 server-sent-events: refuses what is no id
  2.16 server-sent-events: takes no id for 0
  2.17 server-sent-events: says nothing in silence
  2.17 server-sent-events: says something after half a minute
  2.17 server-sent-events: has an event for silence
  2.18 websockets: does not say what it speaks
  2.18 websockets: has texts for everybody
  2.18 websockets: calls the id Id
  2.19 websockets: takes fragments for messages
  2.19 websockets: wants a frame in one piece
  2.19 websockets: forgets at a ping
  2.20 websockets: sends no pong
  2.20 websockets: sends an empty pong
  2.20 websockets: sends no close
  2.20 websockets: closes with 1000
  2.21 websockets: forgets what came with the handshake
  2.21 websockets: forgets at the end of a half
  2.21 websockets: closes before it publishes
  2.22 websockets: sends no pings
  2.22 websockets: sends pongs for pings
  2.22 websockets: hangs up after 20 seconds
  3.5 polling: refuses with HTML
  3.8 long-polling: has no nosniff
  3.20 websockets: opens for everybody
`;
const technique = process.argv[2];
if (technique === "--mistakes") {
  console.log(MISTAKES.trim().replace(/^ +/gm, ""));
  process.exit();
}
const { MISTAKE, HOST, PORT = 8000, QUIET } = process.env;
const is = (mistake) => MISTAKE === mistake;
const sleep = (seconds) => new Promise((done) => setTimeout(done, seconds * 1000));

// --- the newest updates

const unit = is("has ids in milliseconds") ? 1 : is("has ids in nanoseconds") ? 1e6 : 1e3; // of a millisecond
const now = () => (is("counts from 1") ? 0 : Date.now() * unit);
const most = { "keeps a hundred": 100, "keeps 1,001": 1001, "keeps all": Infinity }[MISTAKE] ?? 1000;
const started = now();
let kept = [];
let count = 0; // of all that were made: the last one kept is the last of them
let newest = started; // the greatest id
let lost = started; // who has seen less misses something
let waiting = new Set(); // what is called at the next update
const readers = new Set(); // those who are told by a stream or a socket

function publish(update, event) {
  newest = Math.max(newest + Math.ceil(unit / 1000), now());
  let id = newest;
  if (is("has each id twice") && count % 2) id = kept.at(-1).id;
  if (is("falls back with every third") && count % 3 === 2) id -= 1e6;
  if (is("counts down")) id = started - count;
  const one = event === undefined ? { id, update } : { id, update, event };
  if (is("keeps four and no more") && kept.length === 4) return one;
  kept.push(one);
  count++;
  if (kept.length > most) lost = kept.shift().id;
  const woken = [...waiting];
  waiting = new Set(is("wakes the first one only") ? woken.splice(1) : []);
  woken.forEach((wake) => wake());
  return one;
}

// Where somebody goes on who has seen this id, and how often a gap is told there.
function place(cursor) {
  const oldest = count - kept.length;
  if (cursor > 2 ** 53 && is("takes a large cursor for none")) cursor = technique === "polling" ? 0 : undefined;
  if (cursor === undefined) return { at: is("tells the newest without a cursor") ? count - 1 : count, gaps: 0 };
  if (cursor > newest) {
    if (is("refuses a cursor beyond the newest")) throw 400;
    if (is("waits beyond the newest")) return { at: count, gaps: 0 };
    return { at: oldest, gaps: is("tells no gap beyond the newest") ? 0 : 1 };
  }
  const isOld = cursor > 0 && cursor <= started;
  if (isOld && is("refuses an old cursor")) throw 410;
  if (isOld && is("tells no gap after a start")) return { at: oldest, gaps: 0 };
  if (isOld && is("tells a gap after a start twice")) return { at: oldest, gaps: 2 };
  const misses = cursor > 0 && cursor < lost;
  if (misses && !isOld && is("goes on from the newest")) return { at: count - 1, gaps: 1 };
  const from = is("repeats the cursor's own") ? cursor - 1 : cursor;
  const next = kept.findIndex((one) => one.id > from);
  return { at: next < 0 ? count : oldest + next, gaps: misses || is("always tells a gap") ? 1 : 0 };
}

const isBehind = (reader) => count - reader.at > most / 2;
const isSlow = is("has queues of twenty") || is("waits for nobody") || is("drops who is behind");

// Who publishes waits for those who read, but for none longer than a second.
async function room() {
  const late = Date.now() + 1000;
  const some = () => [...readers].filter((reader) => isBehind(reader) && !reader.isLate);
  while (!isSlow && some().length && Date.now() < late) await sleep(0.005);
  if (Date.now() >= late) some().forEach((reader) => (reader.isLate = true));
}

// Tells all that comes, one after the other: `tell` says whether there is room for more.
async function follow(reader, stream, { tell, tellGap }) {
  const number = readers.size;
  let wake = () => {};
  stream.on("close", () => wake()).on("drain", () => wake());
  readers.add(reader);
  for (let round = 0; !stream.destroyed && !stream.writableEnded; round++) {
    if (round > 0 && isSlow) await sleep(0.3);
    if (round > 0 && is("has queues of twenty")) reader.at = Math.max(reader.at, count - 20);
    if (round > 0 && is("drops who is behind") && isBehind(reader)) return stream.destroy();
    if (is("tells the first one only") && number > 0) reader.at = count;
    if (is("tells the newest one only") && number < readers.size - 1) reader.at = count;
    if (is("tells some in reverse")) {
      await sleep(0.02);
      kept.slice(reader.at - count + kept.length).reverse().forEach(tell);
      reader.at = count;
    }
    while (reader.at < count && !stream.destroyed && !stream.writableEnded) {
      const oldest = count - kept.length;
      if (reader.at < oldest) [reader.at, reader.gaps] = [oldest, 1];
      const one = kept[reader.at++ - oldest];
      if (is("tells each after a random wait")) {
        setTimeout(tell, Math.random() * 20, one);
        continue;
      }
      for (; reader.gaps > 0 && !is("tells a gap too late"); reader.gaps--) tellGap();
      const hasRoom = tell(one);
      for (; reader.gaps > 0; reader.gaps--) tellGap();
      if (is("deletes what it has told")) setTimeout(forget, 5, one);
      const late = is("gives a write five seconds") && !hasRoom && setTimeout(() => stream.destroy(), 5000);
      if (!hasRoom) await new Promise((done) => (wake = done));
      clearTimeout(late);
    }
    reader.isLate = false;
    if (is("looks, and then waits")) await sleep(0.001);
    await new Promise((done) => waiting.add((wake = done)));
  }
  readers.delete(reader);
}

const forget = (last) => (kept = kept.filter((one) => one.id > last.id));

// --- HTTP

function json(response, status, value, headers = {}) {
  response.writeHead(status, { "Content-Type": "application/json", ...headers }).end(JSON.stringify(value));
}

// For as long as the client reads it, 10 MB in a second.
async function tellWithoutEnd(response, part) {
  while (!response.destroyed) {
    response.write(part.repeat(65_536 / part.length));
    while (response.writableNeedDrain && !response.destroyed) await sleep(0.005);
    await sleep(0.006);
  }
}

async function confirm(request, response) {
  const parts = [];
  for await (const part of request) parts.push(part);
  let { update, event } = JSON.parse(Buffer.concat(parts).toString());
  if (typeof update !== "string" || update === "") throw 400;
  if (is("trims texts")) update = update.trim();
  await room();
  const one = publish(update, event);
  hasPublished = true;
  if (is("confirms without end")) {
    response.writeHead(201, { "Content-Type": "application/json" });
    return tellWithoutEnd(response, "[");
  }
  if (is("answers without the text")) return json(response, 201, { id: one.id });
  if (is("answers with an id in quotes")) return json(response, 201, { ...one, id: String(one.id) });
  if (is("confirms no names")) return json(response, 201, { ...one, event: undefined });
  const kind = is("answers with HTML") ? { "Content-Type": "text/html" } : {};
  json(response, is("answers with 200") ? 200 : 201, one, kind);
}

let hasPublished = false;
async function tellNewest(response) {
  if (is("takes a second for the newest")) await sleep(1);
  if (is("has nothing before anybody has published") && !hasPublished) throw 404;
  json(response, 200, is("tells the oldest") ? kept[0] : kept.at(-1));
}

const answered = new Map(); // to which cursor what was told, or how far
async function tellArray(response, cursor, { at, gaps }, headers = {}) {
  if (cursor === undefined && is("takes a second for all")) await sleep(1);
  if (is("tells an array without end")) {
    response.writeHead(200, { "Content-Type": "application/json" });
    return tellWithoutEnd(response, "[");
  }
  if (is("tells nothing twice") && cursor) at = Math.max(at, answered.get(cursor) ?? 0);
  if (is("tells nothing twice")) answered.set(cursor, count);
  let updates = kept.slice(Math.max(0, at - (count - kept.length)));
  if (is("turns in a ring")) {
    const ring = [];
    kept.slice(-8).forEach((one) => (ring[(count - kept.length + kept.indexOf(one)) % 8] = one));
    updates = ring.filter((one) => one);
  }
  if (is("tells the newest first")) updates.reverse();
  if (is("tells the newest one only")) updates = updates.slice(-1);
  if (is("tells all that is kept")) updates = kept;
  if (is("tells each another id")) updates = updates.map((one) => ({ ...one, id: one.id + ++others }));
  if (is("tells no names")) updates = updates.map((one) => ({ ...one, event: undefined }));
  if (is("cuts long texts")) updates = updates.map((one) => ({ ...one, update: one.update.slice(0, 1000) }));
  if (is("remembers its answers") && cursor) {
    if (!answered.has(cursor)) answered.set(cursor, updates);
    updates = answered.get(cursor);
  }
  if (!updates.length && is("takes a second for nothing")) await sleep(1);
  if (!updates.length && is("says 204 for nothing")) return response.writeHead(204).end();
  if (!updates.length && is("says 304 for nothing")) return response.writeHead(304).end();
  if (gaps && !is("says nothing of a gap")) headers["Feed-Gap"] = is("says Feed-Gap: 1") ? "1" : "true";
  json(response, 200, is("tells no array") ? { updates } : updates, headers);
  if (is("deletes what it has told") && updates.length) setTimeout(forget, 5, updates.at(-1));
  if (is("gives an answer five seconds") && updates.length === 1000) {
    setTimeout(() => response.socket?.resetAndDestroy(), 5000);
  }
}
let others = 0;

// The seconds that `Prefer` asks for (RFC 7240), if it does in a way that is understood.
function preferred(prefer = "") {
  if (is("knows no preference")) return undefined;
  const all = prefer.match(/(?:[^,"]|"(?:\\.|[^"\\])*")+/g) ?? [];
  const waits = all.map((one) => /^\s*wait\s*=\s*(?:(\d+)|"(\d+)")\s*(?:;|$)/i.exec(one)).filter((one) => one);
  const wait = is("takes the last preference") ? waits.at(-1) : waits[0];
  const seconds = wait && Number(wait[1] ?? wait[2]);
  if (!wait || (is("takes 0 for nothing") && seconds === 0)) return undefined;
  return is("waits for more than a minute") ? seconds : Math.min(seconds, 60);
}

async function longPoll(request, response, cursor) {
  if (is("refuses a second connection")) server.close();
  const seconds = preferred(request.headers.prefer);
  const headers = seconds === undefined ? {} : { "Preference-Applied": `wait=${seconds}` };
  if (is("applies another time") && seconds) headers["Preference-Applied"] = `wait=${seconds + 1}`;
  const { at, gaps } = place(cursor);
  if (at < count || is("does not wait")) return tellArray(response, cursor, { at, gaps }, headers);
  if (is("looks, and then waits")) await sleep(0.001);
  const short = is("says 204 after 10 seconds") ? 10 : 25;
  let [wake, timer] = [];
  const isNew = await new Promise((done) => {
    waiting.add((wake = () => done(true)));
    response.on("close", wake);
    timer = setTimeout(done, (seconds ?? short) * 1000, false);
  });
  clearTimeout(timer);
  waiting.delete(wake);
  if (isNew) return tellArray(response, cursor, { at, gaps }, headers);
  if (seconds === undefined && is("says [] after 25 seconds")) return json(response, 200, []);
  if (seconds === undefined && is("hangs up after 25 seconds")) return response.destroy();
  response.writeHead(204, headers).end();
}

function eventsOf({ id, update, event }) {
  const field = is("has a field date") ? "date" : "data";
  if (is("has JSON for data")) update = JSON.stringify({ id, update, event });
  if (is("has ids of its own")) id = count;
  const name = is("names each event") ? "update" : is("tells no names") ? undefined : event;
  const head = `${is("has no ids") ? "" : `id: ${id}\n`}${name ? `event: ${name}\n` : ""}`;
  if (is("leaves line ends")) return `${head}${field}: ${update}\n\n`;
  const lines = update.split(/\r\n|\r|\n/);
  if (is("makes events of lines")) return lines.map((line) => `${head}${field}: ${line}\n\n`).join("");
  return `${head}${lines.map((line) => `${field}: ${line}\n`).join("")}\n`;
}

function stream(request, response, cursor) {
  let last = request.headers["last-event-id"];
  if (is("knows no Last-Event-ID") || (is("lets after win") && cursor !== undefined)) last = undefined;
  if (is("refuses what is no id") && last && !/^\d+$/.test(last)) throw 400;
  if (is("takes no id for 0") && last && !/^\d+$/.test(last)) last = "0";
  if (/^\d+$/.test(last)) cursor = Number(last);
  const from = place(cursor);
  const kind = is("says text/plain") ? "text/plain" : "text/event-stream";
  response.writeHead(200, { "Content-Type": is("has another charset") ? `${kind}; charset=latin1` : kind });
  const endless = {
    "has a line without end": "data",
    "has an event without end": "data: x\n",
    "has comments without end": ": x\n\n",
  }[MISTAKE];
  if (endless) return tellWithoutEnd(response, endless);
  const silence = is("says nothing in silence") ? 3600 : is("says something after half a minute") ? 30 : 15;
  const comment = is("has an event for silence") ? "event: silence\ndata: \n\n" : ": keep-alive\n\n";
  const timer = setTimeout(() => write(comment), silence * 1000);
  response.on("close", () => clearTimeout(timer));
  let unsent = "";
  const write = (text) => {
    if (response.destroyed || response.writableEnded) return true;
    timer.refresh();
    if (!is("sends 64 KB at once")) return response.write(text);
    unsent += text;
    return unsent.length < 65_536 || response.write(unsent) || true;
  };
  const retry = is("has a retry of 100") ? 100 : 1000 + Math.floor(Math.random() * 2001);
  if (!is("has no retry")) write(`retry: ${retry}\n\n`);
  else if (!is("sends 64 KB at once")) response.flushHeaders();
  const tell = (one) => {
    const hasRoom = write(eventsOf(one));
    if (is("ends after an event")) response.end();
    return hasRoom;
  };
  const gap = `${is("has an id for a gap") ? `id: ${lost}\n` : ""}event: gap\n`;
  const tellGap = () => write(is("has no data for a gap") ? `${gap}\n` : `${gap}data: some are missing\n\n`);
  follow(from, response, { tell, tellGap });
}

const server = createServer(async (request, response) => {
  if (!is("has no nosniff")) response.setHeader("X-Content-Type-Options", "nosniff");
  response.setHeader("Cache-Control", "no-cache");
  try {
    const url = new URL(request.url, "http://localhost");
    const after = url.searchParams.get("after") ?? undefined;
    if (after !== undefined && !/^\d+$/.test(after)) throw 400;
    const cursor = after === undefined ? undefined : Number(after);
    const asked = `${request.method} ${url.pathname}`;
    if (asked === "POST /api/messages") await confirm(request, response);
    else if (technique === "polling" && asked === "GET /") await tellNewest(response);
    else if (technique === "polling" && asked === "GET /api/messages") {
      await tellArray(response, cursor, place(cursor ?? 0));
    } else if (technique === "long-polling" && asked === "GET /api/messages/long-poll") {
      await longPoll(request, response, cursor);
    } else if (technique === "server-sent-events" && asked === "GET /server-sent-events") {
      stream(request, response, cursor);
    } else if (technique === "server-sent-events" && asked === "GET /events" && !is("knows nothing of /events")) {
      stream(request, response, cursor);
    } else throw 404;
  } catch (error) {
    const status = Number.isInteger(error) ? error : 400;
    const kind = is("refuses with HTML") ? "text/html" : "text/plain";
    response.writeHead(status, { "Content-Type": kind }).end(`${status}\n`);
  }
});
server.keepAliveTimeout = 100_000; // nobody's next request is to meet an end

// --- WebSockets (RFC 6455)

function frame(first, payload) {
  const bytes = Buffer.from(payload);
  const length = bytes.length < 126 ? [bytes.length] : [126, bytes.length >> 8, bytes.length & 255];
  const mask = is("masks its frames") ? [0, 0, 0, 0] : [];
  if (mask.length) length[0] |= 0x80;
  return Buffer.concat([Buffer.from([first, ...length, ...mask]), bytes]);
}

function payloadOf(one, speaksJson) {
  if (is("escapes texts")) one = { ...one, update: one.update.replaceAll("<", "&lt;") };
  if (is("tells no names")) one = { ...one, event: undefined };
  if (is("has texts for everybody") || !(speaksJson || is("has JSON for everybody"))) return one.update;
  return is("calls the id Id") ? JSON.stringify({ Id: one.id, ...one, id: undefined }) : JSON.stringify(one);
}

if (technique === "websockets") server.on("upgrade", (request, socket, head) => {
  if (!is("ends at a reset")) socket.on("error", () => {});
  const refuse = (status) => socket.end(`HTTP/1.1 ${status} Refused\r\nContent-Length: 0\r\n\r\n`);
  const { pathname, searchParams } = new URL(request.url, "http://localhost");
  if (pathname !== "/websocket" && (pathname !== "/" || is("opens nothing at the root"))) return refuse(404);
  const { host, origin, upgrade, "sec-websocket-key": key, "sec-websocket-version": version } = request.headers;
  const isOwn = !origin || origin.toLowerCase() === `http://${host.toLowerCase()}`;
  if (!isOwn && !is("opens for everybody")) return refuse(403);
  const asks = is("wants small letters") ? upgrade : upgrade.toLowerCase();
  if (asks !== "websocket" || !key || version !== "13") return refuse(400);
  const after = searchParams.get("after") ?? undefined;
  if (after !== undefined && !/^\d+$/.test(after)) return refuse(400);
  const wants = (request.headers["sec-websocket-protocol"] ?? "").split(",").map((one) => one.trim());
  const speaksJson = wants.includes("json");
  const guid = is("has a wrong accept") ? "" : "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  const accept = createHash("sha1").update(key + guid).digest("base64");
  const says = (speaksJson && !is("does not say what it speaks")) || is("speaks json to everybody");
  socket.write("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
    `Sec-WebSocket-Accept: ${accept}\r\n${says ? "Sec-WebSocket-Protocol: json\r\n" : ""}\r\n`);

  const reader = place(after === undefined ? undefined : Number(after));
  const own = new Set(); // the ids of what it has sent
  let [isClosing, forgets] = [false, false];
  const kind = is("has binary frames") ? 0x82 : 0x81;
  const write = (first, payload) => socket.destroyed || socket.writableEnded || socket.write(frame(first, payload));
  const tell = (one) => {
    const isOwn = own.has(one.id);
    if (is("tells the others only") && isOwn) return true;
    if (is("tells the sender only") && sent.has(one.id) && !isOwn) return true;
    return write(kind, payloadOf(one, speaksJson));
  };
  const tellGap = () => speaksJson && write(0x81, is("tells a gap as 1") ? '{"gap":1}' : '{"gap":true}');
  follow(reader, socket, { tell, tellGap });

  let answered = true; // the last ping
  const every = is("sends pongs for pings") ? 10 : is("sends no pings") ? 3600 : 15;
  const pings = setInterval(() => {
    if (is("drops who sends no pong") && !answered) return socket.destroy();
    answered = false;
    write(is("sends pongs for pings") ? 0x8a : 0x89, "");
  }, every * 1000);
  if (is("hangs up after 20 seconds")) setTimeout(() => socket.destroy(), 20_000);
  socket.on("close", () => clearInterval(pings));

  // What comes is done one after the other: so its close is answered behind what was sent before.
  let queue = Promise.resolve();
  let message = []; // its fragments
  const done = async (opcode, payload, isEnd) => {
    if (opcode === 10) answered = true;
    if (opcode === 9 && is("forgets at a ping")) message = [];
    if (opcode === 9 && !is("sends no pong")) write(0x8a, is("sends an empty pong") ? "" : payload);
    if (opcode === 8) return closed(payload);
    if (opcode > 2) return;
    message.push(payload);
    if (!isEnd && !is("takes fragments for messages")) return;
    const text = Buffer.concat(message).toString();
    message = [];
    if (text === "") return;
    if (is("publishes JSON only") && !text.startsWith("{")) return;
    if (is("forgets at the end of a half") || is("closes before it publishes")) await sleep(0.002);
    if (forgets) return;
    await room();
    const { id } = publish(text);
    own.add(id), sent.add(id);
  };
  const closed = async (payload) => {
    // What it has sent comes back to it before, if it reads.
    for (let tries = 0; tries < 200 && reader.at < count; tries++) await sleep(0.005);
    if (!is("sends no close")) write(0x88, is("closes with 1000") ? [3, 232] : payload.subarray(0, 2));
    socket.end();
  };
  let bytes = Buffer.alloc(0);
  const take = (data) => {
    bytes = Buffer.concat([bytes, data]);
    for (let next; !isClosing && (next = parsed(bytes));) {
      bytes = bytes.subarray(next.length);
      const { opcode, payload, isEnd } = next;
      isClosing = opcode === 8;
      if (opcode === 8 && is("closes before it publishes")) closed(payload);
      else queue = queue.then(() => done(opcode, payload, isEnd));
    }
    if (is("wants a frame in one piece")) bytes = Buffer.alloc(0);
  };
  socket.on("data", take);
  socket.on("end", () => {
    forgets = is("forgets at the end of a half");
    queue = queue.then(() => socket.end());
  });
  if (head.length && !is("forgets what came with the handshake")) take(head);
});
const sent = new Set(); // the ids of what came by a WebSocket

// The first frame, if all of it is there.
function parsed(bytes) {
  if (bytes.length < 2) return undefined;
  const short = bytes[1] & 127;
  const start = 6 + (short === 126 ? 2 : short === 127 ? 8 : 0);
  if (bytes.length < start) return undefined;
  const size = short === 126 ? bytes.readUInt16BE(2) : short === 127 ? Number(bytes.readBigUInt64BE(2)) : short;
  if (bytes.length < start + size) return undefined;
  const mask = bytes.subarray(start - 4, start);
  const payload = Buffer.from(bytes.subarray(start, start + size).map((byte, at) => byte ^ mask[at % 4]));
  return { opcode: bytes[0] & 15, isEnd: bytes[0] > 127, payload, length: start + size };
}

// --- what it says by itself

function make(number) {
  publish(`Real-Time Update ${number}`);
  if (number > 1 || !is("does not print the first one")) console.log(`SENT: Real-Time Update ${number}`);
}

async function makeOn() {
  const once = 2 + Math.floor(Math.random() * 8);
  for (let number = 2; ; number++) {
    const seconds = is("draws its wait once") ? once : 2 + Math.floor(Math.random() * 8);
    await sleep(is("waits for three seconds") ? 3 : seconds);
    make(number);
  }
}

const say = () => console.log(`Listening at http://localhost:${Number(PORT) + (is("says another port") ? 1 : 0)}`);
if (is("says something else first")) console.log("Starting");
if (is("says so before it listens")) say();
setTimeout(() => server.listen(PORT, HOST, () => {
  if (!is("says so before it listens")) say();
  make(1);
  if (QUIET !== "1") makeOn();
  else if (is("makes another one after 8 seconds")) setTimeout(make, 8000, 2);
}), is("says so before it listens") ? 500 : 0);
