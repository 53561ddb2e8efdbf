// The comparison: the four pages in frames, one message into all of them, and what it took each.

import { sendable } from "../client/message.js";
import { USUAL } from "../page/neighbour.js";
import { Contender, milliseconds } from "./contender.js";
import { control } from "./control.js";
import { distanceSlider } from "./distance.js";
import { invitation } from "./invitation.js";
import { suggestions, tick } from "./suggestions.js";

const TITLES = {
  "polling": "Polling",
  "long-polling": "Long polling",
  "server-sent-events": "Server-sent events",
  "websockets": "WebSockets",
};
const GROW_EVERY = 100; // milliseconds, while a message is on its way

const form = document.querySelector("#message");
const field = document.querySelector("#text");
const refused = document.querySelector("#refused");
const summary = document.querySelector("#summary");
const query = new URLSearchParams(location.search);
const refusals = new Map(); // of this message: what was said, and by whose page
let token = 0;
let growing;

const contenders = Object.entries(USUAL).map(([name, port]) => {
  const contender = new Contender({ name, title: TITLES[name], port }, query.get(name));
  contender.addEventListener("came", ({ detail }) => detail.cut && tick("cable"));
  contender.addEventListener("refused", ({ detail }) => refuse(detail, contender.title));
  contender.addEventListener("settled", settle);
  if (name === "server-sent-events") contender.addEventListener("stopped", () => tick("stop"));
  return contender;
});

suggestions(Boolean(control), new URL(contenders[2].address).port);
distanceSlider((distance) => {
  for (const contender of contenders) contender.beginAnew();
  if (distance === 300) tick("distance");
});
invitation();
for (const [button, dialog] of [["#explain", "#explanation"], ["#invite", "#invitation"]]) {
  const opened = document.querySelector(dialog);
  document.querySelector(button).addEventListener("click", () => opened.showModal());
}

addEventListener("message", ({ data, origin, source }) => {
  const from = contenders.find((contender) => contender.frame.contentWindow === source);
  if (from && from.origin === origin) from.hear(data);
});

form.addEventListener("submit", (event) => {
  event.preventDefault();
  refusals.clear();
  refused.textContent = "";
  try {
    sendable(field.value);
  } catch (error) {
    refused.textContent = error.message;
    return;
  }
  token += 1;
  for (const contender of contenders) contender.send(field.value, token);
  field.select();
  if (growing === undefined) grow();
});

// While a message is on its way, the bars grow.
function grow() {
  const waiting = contenders.filter(({ waits }) => waits);
  for (const contender of waiting) contender.grow();
  growing = waiting.length ? setTimeout(grow, GROW_EVERY) : undefined;
}

// One sentence under the form, however many refuse.
function refuse(why, title) {
  refusals.set(why, [...(refusals.get(why) ?? []), title]);
  const sentences = [...refusals].map(([why, titles]) => `${titles.join(", ")}: ${why}`);
  refused.textContent = sentences.join(" ");
}

// Once all have it, one sentence: also for those who hear this page.
function settle() {
  if (contenders.some(({ waits }) => waits)) return;
  const have = contenders.filter(({ took }) => took !== undefined).sort((a, b) => a.took - b.took);
  if (have.length < 2) return;
  const say = ({ title, took }) => `${title} after ${milliseconds(took)}`;
  const [first, last] = [say(have.at(0)), say(have.at(-1))];
  summary.textContent = `First: ${first}. Last: ${last}.`;
}
