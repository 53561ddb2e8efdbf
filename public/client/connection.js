// The connection of a technique's client: keeps one, and never a second one beside it. Connects
// again when it is lost, longer and longer after each failure; is cut and plugged in when somebody
// says so. It shows nothing: it says what happens, as events.

const LONGEST = 10; // seconds between two attempts, at the most
const PATIENCE = 15; // seconds that an attempt may take until it works
const SILENCE = 45; // seconds: a stream that has heartbeats is dead after so long without one
const BUSY = new Map([[1012, 5], [1013, 5]]); // closes of a WebSocket after which one stays away: seconds
const NO_ANSWER = "no answer";
export const SETTLED = 1000; // milliseconds: a request held for so long has arrived at a server that is well
const ASLEEP = 90_000; // milliseconds without a tick: a tab in the background ticks each minute

// The events, each with what is known in `detail`:
//   connecting  { byItself }: an attempt begins; `byItself`, the browser makes it
//   connected   {}
//   lost        { why, code, refused, seconds, attempt, byItself }: it is over; the next attempt begins
//               in so many seconds, or at once where there are none. `code`, what a WebSocket was
//               closed with; `refused`, a server is there, and did not take the connection
//   cut         {}: somebody has cut the cable
//   gap         {}: the server says that updates newer than our cursor are no longer kept
//   request     { method, url, headers, body, answer }: a request beside the technique's own;
//               `answer` is the promise of its response
class Connection extends EventTarget {
  state = "connecting"; // or "connected", "lost", "cut": the last of these events
  since = Date.now(); // when the connection of the moment was asked for, milliseconds since 1970
  attempts = 0; // that have failed since it last worked
  #line;
  #hurry = () => {}; // ends the wait of the moment

  get plugged() {
    return this.state !== "cut";
  }

  async keep(connect, knock) {
    for (;;) {
      if (!this.plugged) {
        await this.#wait();
        continue;
      }
      const line = new Line(this);
      this.#line = line;
      this.since = Date.now();
      this.say("connecting");
      let knocked = false;
      const attempt = async () => {
        if (knock && this.attempts > 0) {
          await this.#knock(line.cut);
          knocked = true;
        }
        await connect(line);
      };
      const reason = await Promise.race([attempt(), line.over]).catch((reason) => reason);
      if (line.cut.aborted) {
        if (this.plugged) this.say("lost", { why: line.cut.reason });
        continue;
      }
      line.end(NO_ANSWER); // whatever is left of it
      console.debug(reason);
      const refused = knocked && !line.worked && reason !== NO_ANSWER;
      const why = refused ? "refused" : inWords(reason);
      // With a random part: a thousand clients that lost their server in the same instant must not
      // come back in the same instant.
      const own = Math.min(2 ** this.attempts, LONGEST) * (0.5 + Math.random() / 2);
      const seconds = own + line.stayAway + (reason?.stayAway ?? BUSY.get(reason?.code) ?? 0);
      this.attempts += 1;
      const next = { seconds, attempt: this.attempts + 1 };
      this.say("lost", { why, code: reason?.code, refused, ...next });
      await this.#wait(seconds);
    }
  }

  cut() {
    this.say("cut");
    this.#line?.end("cable cut");
    this.#hurry();
  }

  plugIn() {
    this.attempts = 0;
    this.state = "connecting";
    this.#hurry();
  }

  // Lets go of the connection and makes a new one at once. The cursor sees to it that nothing is
  // missed and nothing comes twice.
  renew(why) {
    if (!this.plugged) return;
    this.attempts = 0;
    this.#line?.end(why);
    this.#hurry();
  }

  // Does not wait any longer, where it waits.
  hurry() {
    if (this.state === "lost") this.#hurry();
  }

  // A request beside the technique's own, such as that of a message.
  request(method, url, options) {
    const answer = fetch(url, { method, ...options });
    this.#tell("request", { method, url, ...options, answer });
    return answer;
  }

  // Used by the line, below.
  say(state, detail = {}) {
    this.state = state;
    this.#tell(state, detail);
  }

  tellGap() {
    this.#tell("gap", {});
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  // Throws when no server is there to take a connection.
  async #knock(cut) {
    const url = location.pathname;
    const response = await this.request("HEAD", url, { signal: cut, cache: "no-store" });
    if (!response.ok) throw new Error(response.statusText);
  }

  #wait(seconds) {
    return new Promise((resolve) => {
      this.#hurry = resolve;
      if (seconds !== undefined) setTimeout(resolve, seconds * 1000);
    });
  }
}

// One attempt, and the connection that it may become. Once it is over, nothing that is left of it
// (an event that comes late) says anything any more.
class Line {
  worked = false; // ever
  stayAway = 0; // seconds that the server wants between two connections, beside our own wait
  #connection;
  #end = new AbortController();
  #patience;
  #next;

  constructor(connection) {
    this.#connection = connection;
    this.over = new Promise((_, reject) => {
      this.cut.addEventListener("abort", () => reject(this.cut.reason));
      this.giveUp = reject;
    });
    this.over.catch(() => {}); // nobody may be waiting for it
    this.answersWithin(PATIENCE);
  }

  // An AbortSignal: the page must let go of its connection.
  get cut() {
    return this.#end.signal;
  }

  // Asks for something. Where the connection does not work within so many seconds, it is over: `cut`
  // is aborted. (No `AbortSignal.any` with a timeout: WebKit and Node 20 forget one that only a request
  // waits for, when they collect garbage. It never aborts anything then.)
  answersWithin(seconds, why = NO_ANSWER) {
    if (this.cut.aborted) return;
    this.#clear();
    this.#patience = setTimeout(() => this.giveUp(why), seconds * 1000);
  }

  // The connection works: what was asked for has come.
  works() {
    this.#clear();
    this.#hasWorked();
  }

  #hasWorked() {
    if (this.cut.aborted) return;
    this.worked = true;
    if (this.#connection.state === "lost") this.#connection.since = Date.now();
    this.#connection.attempts = 0;
    if (this.#connection.state !== "connected") this.#connection.say("connected");
  }

  // Something has come, if only a comment: from now on, too long a silence is the end. (For whoever
  // can hear heartbeats: by fetch, not by an EventSource or a WebSocket.)
  heard() {
    this.answersWithin(SILENCE, "silence");
  }

  // A request that the server may hold: while it does, the connection works. Its answer is still
  // awaited.
  async held(request) {
    const settled = setTimeout(() => this.#hasWorked(), SETTLED);
    try {
      return await request;
    } finally {
      clearTimeout(settled);
    }
  }

  // The server says that updates newer than the cursor are no longer kept.
  gap() {
    if (!this.cut.aborted) this.#connection.tellGap();
  }

  // The browser connects again by itself after so many seconds, as an EventSource does.
  reconnecting(seconds) {
    if (this.cut.aborted) return;
    this.#clear();
    this.#connection.say("lost", { why: NO_ANSWER, seconds, byItself: true });
    this.#next = setTimeout(() => {
      this.#connection.since = Date.now();
      this.#connection.say("connecting", { byItself: true });
      this.answersWithin(PATIENCE);
    }, seconds * 1000);
  }

  end(why) {
    this.#clear();
    this.#end.abort(why);
  }

  #clear() {
    clearTimeout(this.#patience);
    clearTimeout(this.#next);
  }
}

// A server is there, and does not want to answer: not now, or not us.
export class Refused extends Error {
  constructor({ status, statusText, headers }) {
    super(`${status} ${statusText}`);
    this.stayAway = Number(headers.get("Retry-After")) || 0; // seconds; a date is left alone
  }
}

// Why a connection is over: what its `connect` threw.
function inWords(reason) {
  if (reason instanceof SyntaxError) return "an answer that is no JSON"; // somebody else's
  const closed = reason?.type === "close" && reason.code !== 1006; // 1006: without a word
  return closed ? `closed (${reason.code})` : NO_ANSWER;
}

// The page's one connection.
export const connection = new Connection();

// Calls `connect(line)` again and again, each time as soon as the one before is over and some time
// has passed: it returns or throws when its connection is lost. With `knock`, each attempt after a
// failed one asks first, by HTTP, whether a server is there.
export function keepConnected(connect, { knock = false } = {}) {
  if (!AbortSignal.any) return; // the browser is too old: the page's own text says so
  connection.keep(connect, knock);
  if (globalThis.document) watch(); // outside of a page there is nothing of this
}

function watch() {
  // A machine that slept, a page that was frozen, another network: the old connection may be dead
  // without anyone having said so. (A line that dies in silence while all of these stay awake is
  // noticed by TCP only, and late: an EventSource shows no comments, and a WebSocket no pings.)
  addEventListener("online", () => connection.renew("another network"));
  addEventListener("pageshow", (event) => event.persisted && connection.renew("back again"));
  document.addEventListener("resume", () => connection.renew("back again"));
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) connection.hurry();
  });
  let ticked = Date.now();
  setInterval(() => {
    if (Date.now() - ticked > ASLEEP) connection.renew("the machine slept");
    ticked = Date.now();
  }, 1000);
}
