// A message of this page's own on its way: to the server, and back here as an update.

import { send } from "../client/message.js";
import { made } from "./clock.js";
import { newest, sum } from "./cost.js";

const PATIENCE = 60_000; // milliseconds until nobody waits for it any longer
let claimed = 0; // the id of the last update that was found to be a message of ours

// `sent` resolves once it is sent, or says why not; `back` resolves once it is back: to the
// milliseconds that this took, by this page's one clock, and to what it cost.
export function roundTrip(text, way = send, patience = PATIENCE) {
  const list = document.querySelector("update-list");
  const [sentAt, started] = [Date.now(), performance.now()];
  const over = new AbortController();
  const { signal } = over;
  const arrived = []; // what comes until we know which update is ours
  let isOurs;
  let look;
  let up; // what its way to the server cost
  const back = new Promise((resolve, reject) => {
    look = (update, milliseconds, down) => {
      if (signal.aborted || !isOurs(update)) return;
      claimed = update.id;
      made(update.id, sentAt);
      resolve({ milliseconds, cost: sum(up, down) });
      over.abort();
    };
    const tooLong = setTimeout(() => over.abort("did not come back"), patience);
    signal.addEventListener("abort", () => {
      clearTimeout(tooLong);
      reject(new Error(`${signal.reason}`)); // nothing happens where it has come
    });
    list.addEventListener("update", ({ detail }) => {
      const arrival = [detail, performance.now() - started, newest.down];
      if (isOurs) look(...arrival);
      else arrived.push(arrival);
    }, { signal });
  });
  back.catch(() => {}); // who only sends does not wait for it
  newest.up = undefined;
  const sent = way(text).then((update) => {
    const same = (other) => other.update === text && other.id > claimed;
    isOurs = update ? ({ id }) => id === update.id : same;
    for (const one of arrived) look(...one);
  }, (error) => {
    over.abort();
    throw error;
  });
  up = newest.up; // a message goes out as soon as it is told to
  return { sent, back };
}
