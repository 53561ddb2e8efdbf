// The names of events for which the page listens. There is no way to listen for all: an EventSource
// hands an event with a name to the listeners for that name, and to nobody else.

import { renew } from "./connection.js";

const field = document.querySelector("#event-names");

// The stream's own `open` and `error` are no events of the server.
export function eventNames() {
  const names = field.value.split(/[\s,]+/).filter((name) => !["", "open", "error"].includes(name));
  return new Set(["message", ...names]);
}

let heard = [...eventNames()].join();
field.addEventListener("change", () => {
  const wanted = [...eventNames()].join();
  if (wanted !== heard) renew("listens for other names");
  heard = wanted;
});
