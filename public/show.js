// What a page calls to show what its technique does. Take each line that begins with `show.` out
// of a page, and the technique still works: unseen.

import { answerBytes, eventBytes, frameBytes, requestBytes } from "./bytes.js";
import { connected, connectedAgain, isPlugged } from "./connection.js";
import { reconnectingByItself, waitPatiently } from "./connection.js";
import { count } from "./count.js";
import { listUpdate } from "./updates.js";
import * as wire from "./wire.js";
import "./links.js";

const HELD = 250; // milliseconds: a request that is answered sooner was not held
const SETTLED = 1; // second: what is held for so long has arrived at a server that is well

let asked; // the request of the connection of the moment, while it has no answer
let url; // its address
let lastId;
let isOpen = false;
const held = document.querySelector("#held");

// A request of the page's technique goes out.
export function request(path) {
  url = path;
  asked = outgoing("GET", path);
  waitPatiently();
}

// Its answer has come, with so many updates.
export function answer(response, updates) {
  const news = `200 [${howMany(updates.length)}]`;
  const label = response.status === 200 ? news : statusLine(response);
  asked?.answer(label, updates.length ? "news" : "muted");
  asked = undefined;
  if (response.ok) connected();
}

// A connection that stays open is made: the answer to the request, and a tinted space from there.
export function opened(label) {
  const byItself = !asked; // by the browser: no script saw the request go out
  if (byItself) request(`${url} Last-Event-ID: ${lastId ?? "none"}`);
  isOpen = true;
  wire.setOpen(true);
  asked.stop();
  wire.arrow("down", label, undefined, "muted");
  asked = undefined;
  byItself ? connectedAgain() : connected();
}

// An event of the open stream.
export function event(update) {
  const bytes = eventBytes(update);
  const name = update.event !== "message" ? `event: ${update.event} ` : "";
  wire.arrow("down", `id: ${wire.shortId(update.id)} ${name}data: ${update.update}`, bytes, "news");
  count("down", bytes);
}

// A frame from the server ("down") or from us ("up"): its payload, and the text in it.
export function frame(way, payload, text = payload) {
  const bytes = frameBytes(payload, way === "up");
  wire.arrow(way, `frame ${JSON.stringify(text)}`, bytes, "news");
  count(way, bytes);
}

// An update, however it came.
export function update(update) {
  lastId = update.id;
  listUpdate(update);
}

// The browser has lost the connection and makes a new one by itself.
export function reconnecting(seconds) {
  if (!asked && !isOpen) asked = outgoing("GET", url); // its next attempt has failed too
  lost("no answer");
  reconnectingByItself(seconds);
}

// The connection is over: what was asked has no answer, and what was open is open no more.
export function lost(why) {
  asked?.lose(why);
  asked = undefined;
  if (isOpen && isPlugged()) wire.gap(why === "no answer" ? "connection lost" : why);
  isOpen = false;
  wire.setOpen(false);
}

// A request on its way, also one beside the technique's own, as that of a message.
export function outgoing(method, path, body, headers) {
  const started = performance.now();
  const bytes = requestBytes(method, path, body, headers);
  const label = path.replace(/\d{7,}/g, wire.shortId);
  const row = wire.arrow("up", `${method} ${label}`, bytes, body === undefined ? "" : "news");
  count("requests");
  count("up", bytes);
  const hold = () => wire.bar(row, "held", "held", started, (seconds) => {
    if (!held || body !== undefined) return;
    held.textContent = `${seconds.toFixed(1)} s`;
    if (seconds > SETTLED) connected();
  });
  let release;
  const timer = setTimeout(() => (release = hold()), HELD);
  const stop = () => {
    clearTimeout(timer);
    release?.();
    if (held && body === undefined) held.textContent = "–";
  };
  return {
    stop,
    answer(label, kind) {
      stop();
      const row = wire.arrow("down", label, undefined, `${kind} ${release ? "ends-hold" : ""}`);
      answerBytes(path, started, (bytes) => {
        wire.setBytes(row, bytes);
        count("down", bytes);
      });
    },
    lose(why) {
      stop();
      wire.unanswered(row, why);
    },
  };
}

export function statusLine(response) {
  return `${response.status} ${response.statusText}`;
}

function howMany(number) {
  return number === 0 ? "" : `${number} update${number === 1 ? "" : "s"}`;
}
