// The cable: keeps one connection, and never a second one beside it. Connects again when it is
// lost, cuts and plugs it in when somebody says so, and says what is the case.

import { compareClocks } from "./clock.js";
import { lost } from "./show.js";
import { gap } from "./wire.js";

const LONGEST = 10; // seconds between two attempts, at the most
const PATIENCE = 15_000; // milliseconds that a stream or a socket may take to open
const ASLEEP = 90_000; // milliseconds without a tick: a tab in the background ticks each minute

const status = document.querySelector("#status");
const cut = document.querySelector("#cut");
const plug = document.querySelector("#plug");

let plugged = true;
let attempts = 0; // that have failed since the last good one
let since = Date.now();
let connection = new AbortController();
let hurry = () => {}; // ends the wait of the moment
let countdown;
let giveUp;
let patience;

// When the connection of the moment was made, in milliseconds since 1970.
export const connectedSince = () => since;

export const isPlugged = () => plugged;

// Calls `connect(cut)` again and again, each time as soon as the one before is over and some time
// has passed: it returns or throws when its connection is lost. `cut` is an AbortSignal: it says
// when the page must let go of its connection.
export async function keepConnected(connect) {
  for (;;) {
    if (!plugged) {
      say("cut: updates go on being made; plug it in again, and the page catches up");
      gap("cable cut");
      await new Promise((resolve) => (hurry = resolve));
      continue;
    }
    connection = new AbortController();
    const { signal } = connection;
    since = Date.now();
    say("connecting");
    const aborted = new Promise((_, reject) => {
      signal.addEventListener("abort", () => reject(signal.reason));
    });
    const tooLong = new Promise((_, reject) => (giveUp = reject));
    const why = await Promise.race([connect(signal), aborted, tooLong]).catch((reason) => reason);
    clearTimeout(patience);
    const letGo = signal.aborted;
    connection.abort(); // whatever is left of it
    lost(letGo ? signal.reason : "no answer");
    if (letGo) continue;
    console.debug(why);
    await waitBeforeNextAttempt();
  }
}

// A request has gone out: what takes too long to answer is given up.
export function waitPatiently() {
  clearTimeout(patience);
  patience = setTimeout(() => giveUp("no answer"), PATIENCE);
}

// The connection works.
export function connected() {
  clearTimeout(patience);
  attempts = 0;
  say("connected");
  compareClocks();
}

// The browser connects again by itself, as an EventSource does.
export function reconnectingByItself(seconds) {
  waitPatiently();
  count(seconds, "the browser, by itself", () => say("connecting: the browser, by itself"));
}

export function connectedAgain() {
  since = Date.now();
  connected();
}

// Lets go of the connection and makes a new one at once. The cursor sees to it that nothing is
// missed and nothing comes twice.
export function renew(why) {
  attempts = 0;
  connection.abort(why);
  if (plugged) hurry();
}

// Longer each time, with a random part: a thousand clients that lost their server in the same
// instant must not come back in the same instant.
function waitBeforeNextAttempt() {
  const longest = Math.min(2 ** attempts++, LONGEST);
  const seconds = longest * (0.5 + Math.random() / 2);
  return new Promise((resolve) => {
    hurry = resolve;
    count(seconds, `attempt ${attempts + 1}`, resolve);
  });
}

function count(seconds, words, then) {
  const end = performance.now() + seconds * 1000;
  const tick = () => {
    const left = Math.ceil((end - performance.now()) / 1000);
    if (left <= 0) return then();
    say(`reconnecting in ${left} s (${words})`, "reconnecting");
    countdown = setTimeout(tick, 200);
  };
  clearTimeout(countdown);
  tick();
}

// A screen reader says a new state, but not each second of a countdown.
function say(text, state = text.split(":")[0]) {
  if (state !== "reconnecting") clearTimeout(countdown);
  if (status.textContent === text) return;
  status.ariaLive = status.dataset.state === state ? "off" : "polite";
  status.dataset.state = state;
  status.textContent = text;
  cut.disabled = !plugged;
  plug.disabled = plugged;
}

cut.addEventListener("click", () => {
  plugged = false;
  connection.abort("cable cut");
  hurry();
  cut.disabled = true;
  plug.disabled = false;
  plug.focus();
});

plug.addEventListener("click", () => {
  plugged = true;
  attempts = 0;
  cut.disabled = false;
  plug.disabled = true;
  cut.focus();
  hurry();
});

// A machine that slept, a page that was frozen, another network: the old connection may be dead
// without anyone having said so. (A line that dies in silence while all of these stay awake is
// noticed by nobody here before TCP does: a script sees neither keep-alive comments nor pings.)
addEventListener("online", () => renew("another network"));
addEventListener("pageshow", (event) => event.persisted && renew("back again"));
document.addEventListener("resume", () => renew("back again"));
document.addEventListener("visibilitychange", () => {
  if (!document.hidden && plugged && attempts > 0) hurry();
});
let ticked = Date.now();
setInterval(() => {
  if (Date.now() - ticked > ASLEEP) renew("the machine slept");
  ticked = Date.now();
}, 1000);
