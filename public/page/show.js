// What a page calls to show what its technique does. Take each line that begins with `show.` out
// of a page, and the technique still works: unseen.

import { connection, SETTLED } from "../client/connection.js";
import { answerBytes, eventBytes, frameBytes, requestBytes } from "./bytes.js";
import { letCompare } from "./compared.js";
import { newest } from "./cost.js";
import { linkToNeighbours } from "./links.js";
import { shortId } from "./the-wire.js";
import "./byte-count.js";
import "./message-form.js";
import "./the-cable.js";
import "./update-list.js";

const HELD = 250; // milliseconds: a request that is answered sooner was not held
const GAP = "some updates are no longer kept";

const wire = document.querySelector("the-wire");
const list = document.querySelector("update-list");
const count = document.querySelector("byte-count");
const holdTime = document.querySelector("hold-time"); // long polling's

let asked; // the request of the connection of the moment, while it has no answer
let url; // its address
let lastId; // the id of the last event of the stream, which the browser sends when it asks again

// The page is there: what happens to its connection is drawn too, its links lead to its neighbours,
// and it may be compared with them.
export function page() {
  if (window !== window.top) framed();
  connection.addEventListener("lost", lost);
  connection.addEventListener("cut", cut);
  connection.addEventListener("gap", gap);
  connection.addEventListener("request", beside);
  linkToNeighbours();
  letCompare();
}

// In the comparison. The same landmarks four times would tell nobody where they are.
function framed() {
  document.documentElement.classList.add("framed");
  for (const part of document.querySelectorAll("header, main")) part.ariaLabel = document.title;
  for (const part of document.querySelectorAll("[role=region]")) part.role = "group";
}

// A request of the page's technique goes out: one that is `held`, where the server may hold it.
export function request(path, { headers, held } = {}) {
  url = path;
  lastId = undefined;
  asked = outgoing("GET", path, { headers, hold: held && ((seconds) => holdTime.held(seconds)) });
}

// Its answer has come, with so many updates.
export function answer(response, updates) {
  holdTime?.applied(response);
  const gap = response.headers.has("Feed-Gap") ? " Feed-Gap: true" : "";
  const news = `200 [${howMany(updates.length)}]${gap}`;
  const label = response.status === 200 ? news : statusLine(response);
  const body = response.status === 200 ? JSON.stringify(updates) : "";
  asked?.answer(label, updates.length ? "news" : "muted", answerBytes(response, { body }));
  newest.down = asked?.cost;
  asked = undefined;
}

// A connection that stays open is made: the answer to the request, and a tinted space from there.
export function opened(label) {
  asked ??= outgoingByBrowser(); // no script saw the request go out
  wire.open = true;
  asked.answer(label, "muted");
  asked = undefined;
}

// An event of the open stream.
export function event({ id, event, update }) {
  lastId = id ?? lastId;
  const bytes = eventBytes({ id, event, update });
  const fields = id === undefined ? "" : `id: ${shortId(id)} `;
  const name = event && event !== "message" ? `event: ${event} ` : "";
  const data = id === undefined ? "…" : update; // a gap's is drawn by itself
  wire.arrow("down", `${fields}${name}data: ${data}`, bytes, "news");
  count.add("down", bytes);
  newest.down = { requests: 0, up: 0, down: bytes };
}

// A frame from the server ("down") or from us ("up"): its payload, and what of it is drawn.
export function frame(way, payload, drawn = payload) {
  const bytes = frameBytes(payload, way === "up");
  wire.arrow(way, `frame ${JSON.stringify(drawn)}`, bytes, "news");
  count.add(way, bytes);
  newest[way] = { requests: 0, up: 0, down: 0, [way]: bytes };
}

// An update, however it came.
export function update(update) {
  count.add("updates");
  const age = list.show(update);
  if (age !== undefined) count.addAge(age);
}

// The connection is over: what was asked has no answer, and what was open is open no more.
function lost({ detail: { why, byItself } }) {
  if (byItself && !wire.open) asked ??= outgoingByBrowser(); // its next attempt has failed too
  asked?.lose(why);
  asked = undefined;
  const was = wire.open;
  wire.open = false;
  if (was) wire.gap(why === "no answer" ? "connection lost" : why);
}

function cut() {
  asked?.lose("cable cut");
  asked = undefined;
  wire.open = false;
  wire.gap("cable cut");
}

function gap() {
  wire.gap(GAP);
  list.gap(GAP);
}

// A request beside the technique's own, such as that of a message.
function beside({ detail: { method, url, headers, body, answer } }) {
  const request = outgoing(method, url, { headers, body });
  if (body !== undefined) newest.up = request.cost;
  const came = (response) => {
    request.answer(statusLine(response), "muted", answerBytes(response, { method }));
  };
  answer.then(came, () => request.lose("no answer"));
}

// The browser asks again by itself: with the id of the last event that this stream brought.
function outgoingByBrowser() {
  return outgoing("GET", url, lastId && { headers: { "Last-Event-ID": lastId } });
}

// A request on its way. It counts once it is answered, or is held for so long that it has arrived:
// one that gets no answer may never have left. It is drawn as the server sees it, which knows nothing
// of a path that leads to it.
function outgoing(method, relative, { headers, body, hold } = {}) {
  const started = performance.now();
  const { href, pathname, search } = new URL(relative, document.baseURI);
  const bytes = requestBytes(method, pathname + search, body, headers);
  const path = `/${href.slice(document.baseURI.length)}`;
  const cost = { requests: 1, up: bytes, down: 0 };
  const named = ["Last-Event-ID", "Prefer"].filter((name) => headers?.[name]);
  const line = [path, ...named.map((name) => `${name}: ${headers[name]}`)].join(" ");
  const label = `${method} ${line.replace(/\d{7,}/g, shortId)}`;
  const row = wire.arrow("up", label, bytes, body === undefined ? "" : "news");
  let release;
  let isCounted = false;
  const countIt = () => {
    if (isCounted) return;
    isCounted = true;
    count.add("requests");
    count.add("up", bytes);
  };
  const timers = hold ? [setTimeout(() => {
    release = wire.bar(row, "held", "held", started, hold);
  }, HELD), setTimeout(countIt, SETTLED)] : [];
  const stop = () => {
    timers.forEach(clearTimeout);
    release?.();
    hold?.();
  };
  return {
    cost,
    answer(label, kind, bytes) {
      stop();
      countIt();
      wire.arrow("down", label, bytes, `${kind} ${release ? "ends-hold" : ""}`);
      if (bytes === undefined) return;
      count.add("down", bytes);
      cost.down = bytes;
    },
    lose(why) {
      stop();
      wire.unanswered(row, why);
    },
  };
}

function statusLine(response) {
  return `${response.status} ${response.statusText}`;
}

function howMany(number) {
  return number === 0 ? "" : `${number} update${number === 1 ? "" : "s"}`;
}
