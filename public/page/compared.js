// What a page does in a frame of the comparison: it says that it is ready, sends a message when it
// is told to, and tells what that took. A page of another host is not listened to.

import { isNeighbour } from "./neighbour.js";
import { roundTrip } from "./round-trip.js";

export function letCompare() {
  addEventListener("message", async ({ data, origin, source }) => {
    if (!isNeighbour(location.href, origin)) return;
    if (data?.hello) source.postMessage({ ready: true }, origin);
    if (typeof data?.text !== "string" || data.token === undefined) return;
    const { text, token } = data;
    const tell = (result) => source.postMessage({ token, ...result }, origin);
    const { sent, back } = roundTrip(text);
    try {
      await sent;
      tell({ milliseconds: await back });
    } catch (error) {
      tell({ refused: error.message });
    }
  });
}
