// Sending a message: by the technique's own way, which its page says, or by a POST.

import { connection } from "./connection.js";

const LONGEST = 4096; // bytes that a server takes
let way;

// `send(text)` throws what is said to the user. It may return the update that was made.
export function sendWith(send) {
  way = send;
}

export async function send(text) {
  if (!connection.plugged) throw new Unsent("Not sent: the cable is cut.");
  return way(text);
}

// Only the connection was in the way: once it works, this is no longer true.
export class Unsent extends Error {}

// A message by HTTP, as one of the techniques' pages sends it that has no way of its own. Returns
// the update that was made.
export async function post(text) {
  const body = JSON.stringify({ update: text });
  const headers = { "Content-Type": "application/json" };
  const signal = AbortSignal.timeout(10_000);
  let response, answer;
  try {
    response = await connection.request("POST", "/api/messages", { headers, body, signal });
    answer = await response.text();
  } catch {
    throw new Unsent("No answer from the server. Your text is still here.");
  }
  if (!response.ok) throw new Error(`Refused (${response.status}): ${answer}`);
  return JSON.parse(answer);
}

// What a server refuses by HTTP, it ignores or closes the connection for on a WebSocket.
export function sendable(text) {
  if (text === "") throw new Error("Not sent: the text is empty.");
  if (new TextEncoder().encode(text).length > LONGEST) {
    throw new Error(`Not sent: a message has at most ${LONGEST} bytes.`);
  }
  return text;
}
