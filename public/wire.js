// What goes over the wire, drawn as it happens: one row for each thing that crossed it, oldest
// first. It is a plain list which the style sheet draws as arrows between two lifelines.

import { follow } from "./follow.js";

const KEPT = 60; // rows
const list = document.querySelector("#wire");
const add = follow(list.parentElement, list, KEPT);

let open = false; // while a connection stays open, the space between the lifelines is tinted
let holding = false; // while a request is held, its bar goes on beside what else crosses

export function setOpen(value) {
  open = value;
}

// One arrow. `way` is "up" (client to server) or "down"; `kind` is "", "news" or "muted".
export function arrow(way, label, bytes, kind = "") {
  const row = document.createElement("li");
  const now = new Date();
  row.className = `${way} ${kind} ${open ? "open" : ""} ${holding ? "during" : ""}`;
  row.append(
    part("time", clockTime(now)),
    part("way", way === "up" ? " client to server: " : " server to client: "),
    part("label", label),
    part("bytes", bytesText(bytes)),
  );
  add(row);
  return row;
}

// A line across the wire where nothing crosses: the cable is cut, the connection is lost.
export function gap(label) {
  const row = document.createElement("li");
  row.className = "gap";
  row.append(part("time", clockTime(new Date())), part("label", ` ${label}`));
  add(row);
}

// The bytes of a row, where they become known later.
export function setBytes(row, bytes) {
  row.querySelector(".bytes").textContent = bytesText(bytes);
}

// A request that got no answer. Attempts that fail one after the other share one row.
export function unanswered(row, why) {
  const before = row.previousElementSibling;
  const times = before?.classList.contains("lost") ? Number(before.dataset.times) + 1 : 1;
  if (times > 1) before.remove();
  row.dataset.times = times;
  row.classList.add("lost");
  const often = times > 1 ? `, ${times} times` : "";
  row.querySelector(".label").append(part("why", ` – ${why}${often}`));
}

// A bar that grows below a row until it is stopped: on the server's lifeline while a request is
// held there, on the client's while the client waits before it asks again.
export function bar(row, name, words, started, tick = () => {}) {
  const bar = part("bar", "");
  const text = part("length", "");
  bar.append(part("way", ", "), text);
  row.classList.add(name);
  row.append(bar);
  holding = name === "held";
  const grow = () => {
    const seconds = (performance.now() - started) / 1000;
    text.textContent = `${words} ${seconds.toFixed(1)} s`;
    bar.style.setProperty("--seconds", seconds.toFixed(2));
    tick(seconds);
  };
  grow();
  const timer = setInterval(grow, 250);
  return () => {
    grow();
    clearInterval(timer);
    holding = false;
    row.classList.replace(name, `was-${name}`);
  };
}

// An id has 16 digits, of which only the last tell two apart.
export function shortId(id) {
  return String(id).replace(/^\d+(?=\d{6}$)/, "…");
}

function part(name, text) {
  const element = document.createElement(name === "time" ? "time" : "span");
  element.className = name;
  element.textContent = text;
  return element;
}

function clockTime(date) {
  const digits = (number) => String(number).padStart(2, "0");
  const parts = [date.getHours(), date.getMinutes(), date.getSeconds()].map(digits);
  return `${parts.join(":")}.${Math.floor(date.getMilliseconds() / 100)}`;
}

function bytesText(bytes) {
  return bytes === undefined ? "" : ` ${new Intl.NumberFormat("en").format(bytes)} bytes`;
}
