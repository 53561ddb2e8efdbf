// What a page does in a frame of the comparison: it says that it is ready and what it has counted,
// sends a message when it is told to, and tells what that took. A page of another host is not
// listened to.

import { connection } from "../client/connection.js";
import { updateIn } from "../client/message.js";
import { isNeighbour, serverOf } from "./neighbour.js";
import { roundTrip } from "./round-trip.js";

const HOUR = 3_600_000; // milliseconds: a cable may stay cut for as long as a class talks about it

export function letCompare() {
  const count = document.querySelector("byte-count");
  let report = () => {}; // to the comparison, once it has said hello
  count.addEventListener("counted", () => report({ counted: count.sums }));
  for (const state of ["connected", "lost"]) {
    connection.addEventListener(state, () => report({ connected: state === "connected" }));
  }
  addEventListener("message", ({ data, origin, source }) => {
    if (!isNeighbour(location.href, origin)) return;
    const tell = (said) => source.postMessage(said, origin);
    if (data?.hello) {
      report = tell;
      tell({ ready: true, connected: connection.state === "connected", counted: count.sums });
    }
    if (typeof data?.text !== "string" || data.token === undefined) return;
    compare(data.text, (result) => tell({ token: data.token, ...result }));
  });
}

// While the cable is cut, another client sends the message: or there would be nothing to catch up
// with.
async function compare(text, tell) {
  const cut = !connection.plugged;
  if (cut) tell({ waits: "the cable is cut" });
  const { sent, back } = cut ? roundTrip(text, byAnother, HOUR) : roundTrip(text);
  try {
    await sent;
    const { milliseconds, cost } = await back;
    tell({ milliseconds, cost, cut });
  } catch (error) {
    tell({ refused: error.message });
  }
}

// By a request that is not drawn and not counted: it is none of this page's.
async function byAnother(text) {
  const headers = { "Content-Type": "application/json" };
  const body = JSON.stringify({ update: text.toWellFormed() });
  const url = new URL("api/messages", serverOf(location.href));
  const response = await fetch(url, { method: "POST", headers, body });
  return updateIn(response, await response.text());
}
