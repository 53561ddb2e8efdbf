// The form with which a message is sent, and what sends it by POST. In a frame of the comparison,
// messages come from there too.

import { isPlugged } from "./connection.js";
import { outgoing, statusLine } from "./show.js";
import { onUpdate } from "./updates.js";

const LONGEST = 4096; // bytes that a server takes
let claimed = 0; // the id of the last update that the comparison's message was found to be
const form = document.querySelector("#message");
const field = document.querySelector("#text");
const refused = document.querySelector("#refused");

// `send(text)` throws what is said next to the field. It may return the update that was made.
export function sendWith(send) {
  let busy = false;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (busy) return;
    busy = true;
    const text = field.value;
    try {
      await ifPlugged(send, text);
      if (field.value === text) field.value = "";
      say("");
    } catch (error) {
      say(error.message);
    }
    busy = false;
  });
  field.addEventListener("input", () => say(""));
  addEventListener("message", (event) => fromComparison(event, send));
}

// A message by HTTP, as one of the techniques' pages sends it that has no way of its own.
export async function post(text) {
  const url = "/api/messages";
  const body = JSON.stringify({ update: text });
  const headers = { "Content-Type": "application/json" };
  const request = outgoing("POST", url, body, headers);
  try {
    const signal = AbortSignal.timeout(10_000);
    const response = await fetch(url, { method: "POST", headers, body, signal });
    const answer = await response.text();
    request.answer(statusLine(response), "muted");
    if (response.ok) return JSON.parse(answer);
    throw new Refusal(`Refused (${response.status}): ${answer}`);
  } catch (error) {
    if (error instanceof Refusal) throw error;
    request.lose("no answer");
    throw new Error("No answer from the server. Your text is still here.");
  }
}

class Refusal extends Error {}

// What a server refuses by HTTP, it ignores or closes the connection for on a WebSocket.
export function sendable(text) {
  if (text === "") throw new Error("Not sent: the text is empty.");
  if (new TextEncoder().encode(text).length > LONGEST) {
    throw new Error(`Not sent: a message has at most ${LONGEST} bytes.`);
  }
  return text;
}

async function ifPlugged(send, text) {
  if (!isPlugged()) throw new Error("Not sent: the cable is cut.");
  return send(text);
}

function say(text) {
  refused.textContent = text;
  field.ariaInvalid = text === "" ? null : "true";
}

// Sends a message for the comparison, a page of the same host, and tells it how long the update
// took to come back here, by this page's one clock.
async function fromComparison({ data, origin, source }, send) {
  if (!URL.canParse(origin) || new URL(origin).hostname !== location.hostname) return;
  if (data?.hello) source.postMessage({ ready: true }, origin);
  if (typeof data?.text !== "string" || data.token === undefined) return;
  const { text, token } = data;
  const tell = (result) => source.postMessage({ token, ...result }, origin);

  const started = performance.now();
  const arrived = []; // what comes until we know which update is ours
  let isOurs;
  const look = (update, at) => {
    if (!isOurs(update)) return;
    claimed = update.id;
    tell({ milliseconds: at - started });
    stop();
  };
  const forget = onUpdate((update) => {
    const at = performance.now();
    if (isOurs) look(update, at);
    else arrived.push([update, at]);
  });
  const timer = setTimeout(forget, 60_000);
  const stop = () => {
    forget();
    clearTimeout(timer);
  };
  try {
    const made = await ifPlugged(send, text);
    isOurs = ({ id, update }) => (made ? id === made.id : update === text && id > claimed);
    for (const [update, at] of arrived) look(update, at);
  } catch (error) {
    stop();
    tell({ refused: error.message });
  }
}
