// The list of what was received, each update with its age on arrival.

import { ageOnArrival, duration, madeAt } from "./clock.js";
import { connectedSince } from "./connection.js";
import { count, countAge } from "./count.js";
import { follow } from "./follow.js";

const KEPT = 200; // rows: a page left open over a night does not grow
const list = document.querySelector("#updates");
const add = follow(list, list, KEPT);

const BURST = 300; // milliseconds: what follows sooner is not read out, or a screen reader drowns
const CALM = 1000;
let latest = -Infinity;
let calm;

const listeners = new Set();

// Calls `listener` with every update, until what is returned is called.
export function onUpdate(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

// A stranger's text is text: it is never read as HTML.
export function listUpdate(update) {
  const row = document.createElement("div");
  const text = document.createElement("bdi"); // right-to-left text keeps to itself
  const age = document.createElement("span");
  row.dataset.id = update.id;
  text.textContent = update.update;
  age.className = "age";
  row.append("Received: ", text);
  if (update.event && update.event !== "message") {
    const name = document.createElement("span");
    name.className = "event";
    name.textContent = update.event;
    row.append(" ", name);
  }
  row.append(age);
  quietInBurst();
  add(row);

  count("updates");
  const live = madeAt(update.id) >= connectedSince(); // otherwise it is old because we were away
  ageOnArrival(update.id).then((milliseconds) => {
    if (milliseconds === undefined) return;
    age.textContent = ` ${duration(milliseconds)} old`;
    if (live) countAge(milliseconds);
  });
  for (const listener of listeners) listener(update);
}

function quietInBurst() {
  const now = performance.now();
  if (now - latest < BURST) {
    list.ariaLive = "off";
    clearTimeout(calm);
    calm = setTimeout(() => (list.ariaLive = "polite"), CALM);
  }
  latest = now;
}
