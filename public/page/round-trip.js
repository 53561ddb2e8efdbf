// A message of this page's own on its way: to the server, and back here as an update.

import { send } from "../client/message.js";
import { made } from "./clock.js";

const PATIENCE = 60_000; // milliseconds until nobody waits for it any longer
let claimed = 0; // the id of the last update that was found to be a message of ours

// `sent` resolves once it is sent, or says why not; `back` resolves to the milliseconds that it took
// until it was back, by this page's one clock.
export function roundTrip(text) {
  const list = document.querySelector("update-list");
  const [sentAt, started] = [Date.now(), performance.now()];
  const over = new AbortController();
  const { signal } = over;
  const arrived = []; // what comes until we know which update is ours
  let isOurs;
  let look;
  const back = new Promise((resolve, reject) => {
    look = (update, milliseconds) => {
      if (signal.aborted || !isOurs(update)) return;
      claimed = update.id;
      made(update.id, sentAt);
      resolve(milliseconds);
      over.abort();
    };
    const tooLong = setTimeout(() => over.abort("did not come back"), PATIENCE);
    signal.addEventListener("abort", () => {
      clearTimeout(tooLong);
      reject(new Error(`${signal.reason}`)); // nothing happens where it has come
    });
    list.addEventListener("update", ({ detail }) => {
      const milliseconds = performance.now() - started;
      if (isOurs) look(detail, milliseconds);
      else arrived.push([detail, milliseconds]);
    }, { signal });
  });
  back.catch(() => {}); // who only sends does not wait for it
  const sent = send(text).then((update) => {
    const same = (other) => other.update === text && other.id > claimed;
    isOurs = update ? ({ id }) => id === update.id : same;
    for (const one of arrived) look(...one);
  }, (error) => {
    over.abort();
    throw error;
  });
  return { sent, back };
}
