// Sending a message: by the technique's own way, which its page says, or by a POST. Whoever sends is
// told whether it arrived, or that nobody knows.

import { connection } from "./connection.js";

const LONGEST = 4096; // bytes that a server takes
const PATIENCE = 10_000; // milliseconds in which a message comes back
const KEPT = 100; // messages of which nobody knows, the newest
let way;
let underWay = []; // messages that have not come back: { text, came, unsure }

// `send(text)` throws what is said to the user. It may return the update that was made, or a promise
// of it.
export function sendWith(send) {
  way = send;
}

export async function send(text) {
  if (!connection.plugged) throw new Unsent("Not sent: the cable is cut.");
  return way(text.toWellFormed()); // half a character is none: no server could store it
}

// Only the connection was in the way: once it works, this is no longer true.
export class Unsent extends Error {}

// It went out, and nobody knows whether it was stored. If it comes back after all, `back` resolves,
// where there is one.
export class Unsure extends Error {
  constructor(why, back) {
    super(why);
    this.back = back;
  }
}

// A message by HTTP, as one of the techniques' pages sends it that has no way of its own. Returns
// the update that was made.
export async function post(text) {
  const body = JSON.stringify({ update: text });
  const headers = { "Content-Type": "application/json" };
  const signal = AbortSignal.timeout(10_000);
  let response, answer;
  try {
    response = await connection.request("POST", "api/messages", { headers, body, signal });
    answer = await response.text();
  } catch {
    throw new Unsure("No answer from the server.");
  }
  return updateIn(response, answer);
}

// The update that a server says it has made of a message; or why there is none, in words for its
// user.
export function updateIn(response, answer) {
  const status = `${response.status} ${response.statusText}`.trim();
  // What is no plain text is somebody else's, such as a proxy's page: its status says enough.
  const isPlain = response.headers.get("Content-Type")?.startsWith("text/plain");
  if (!response.ok) throw new Error(`Refused (${status})${isPlain ? `: ${answer}` : ""}`);
  try {
    return JSON.parse(answer);
  } catch {
    throw new Error(`Not sent: the answer (${status}) is no JSON, so it is not this server's.`);
  }
}

// For a way without answers, as a WebSocket is: what was sent has arrived when it has come back as an
// update. Until then it may be lost, with the connection or on a line that swallows it.
export async function untilBack(text) {
  const message = { text };
  const back = new Promise((came) => (message.came = came));
  underWay = underWay.filter((other) => !other.unsure || other.text !== text); // sent once more
  underWay.push(message);
  const over = new AbortController(); // or a listener would stay behind with each message
  const { signal } = over;
  const failed = new Promise((_, reject) => {
    const fail = (why) => reject(new Unsure(why, back));
    const lost = ({ detail: { code } }) => {
      if (code === 1013) fail("Not stored, try again: the server can't store it now (1013).");
      else fail("The connection was lost before it came back: perhaps it was not stored.");
    };
    connection.addEventListener("lost", lost, { signal });
    connection.addEventListener("cut", lost, { signal });
    const timer = setTimeout(() => {
      fail(`It has not come back within ${PATIENCE / 1000} s: perhaps it was not stored.`);
      connection.renew("no answer"); // the line swallows
    }, PATIENCE);
    signal.addEventListener("abort", () => clearTimeout(timer));
  });
  try {
    return await Promise.race([back, failed]);
  } catch (error) {
    message.unsure = true;
    const unsure = underWay.filter((other) => other.unsure);
    if (unsure.length > KEPT) underWay = underWay.filter((other) => other !== unsure[0]);
    throw error;
  } finally {
    over.abort();
  }
}

// An update has come: the message that it was, if it was one of ours, is under way no longer. (What
// comes has no sender: it is told by its text.)
export function isBack(update) {
  const message = underWay.find(({ text }) => text === update.update);
  underWay = underWay.filter((other) => other !== message);
  message?.came(update);
}

// What a server refuses by HTTP, it ignores or closes the connection for on a WebSocket.
export function sendable(text) {
  if (text === "") throw new Error("Not sent: the text is empty.");
  if (new TextEncoder().encode(text).length > LONGEST) {
    throw new Error(`Not sent: a message has at most ${LONGEST} bytes.`);
  }
  return text;
}
