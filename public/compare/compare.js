// The comparison: the four pages in frames, one message into all of them, and what it took each.

import { median } from "../page/median.js";
import { distanceSlider } from "./distance.js";
import { invitation } from "./invitation.js";

const TECHNIQUES = [
  { name: "polling", title: "Polling", port: 8001 },
  { name: "long-polling", title: "Long polling", port: 8002 },
  { name: "server-sent-events", title: "Server-sent events", port: 8003 },
  { name: "websockets", title: "WebSockets", port: 8004 },
];
const LOOK_EVERY = 3000; // milliseconds between two looks whether a server is there
const PATIENCE = 10_000; // milliseconds that a page has to say that it is ready
const FORGOTTEN = 65_000; // milliseconds: a page waits for 60 s until its message is back
const KEPT = 1000; // results of a technique, the newest
const numbers = new Intl.NumberFormat("en", { // 5.12, 43.2, 4,794
  maximumSignificantDigits: 3,
  maximumFractionDigits: 0,
  roundingPriority: "morePrecision",
});

const form = document.querySelector("#message");
const field = document.querySelector("#text");
const refused = document.querySelector("#refused");
const query = new URLSearchParams(location.search);
let token = 0;

// One technique: its frame, what stands in its place while there is no server, and its row.
class Contender {
  constructor({ name, title, port }) {
    const asked = Number(query.get(name));
    this.port = Number.isInteger(asked) && asked > 0 && asked < 65536 ? asked : port;
    this.origin = `${location.protocol}//${location.hostname}:${this.port}`;
    this.results = [];
    this.ready = false;

    this.frame = element("iframe", { title });
    this.frame.dataset.technique = name;
    this.frame.hidden = true;
    this.missing = element("div", { className: "missing", hidden: true });
    const elsewhere = this.port === port ? "" : `PORT=${this.port} `;
    const command = `${elsewhere}cargo run -p ${name}`;
    this.missing.append(
      element("h2", { textContent: title }),
      element("p", { textContent: `is not running at ${this.origin}. Start it:` }),
      element("pre", {}, element("code", { textContent: command })),
      element("p", { textContent: "It appears here by itself." }),
    );
    const place = element("div", { className: "place" }, this.frame, this.missing);
    document.querySelector(".frames").append(place);

    this.row = element("tr");
    this.row.dataset.technique = name;
    this.current = element("td", { className: "this", textContent: "–" });
    this.median = element("td", { className: "median", textContent: "–" });
    this.status = element("td", { className: "status", textContent: "looking" });
    const link = element("a", { href: `${this.origin}/html/index.html`, textContent: title });
    const head = element("th", { scope: "row" }, link);
    this.row.append(head, this.current, this.median, this.status);
    document.querySelector("#results tbody").append(this.row);

    this.frame.addEventListener("load", () => {
      this.ready = false; // until it says so
      this.frame.contentWindow.postMessage({ hello: true }, this.origin);
    });
    this.look();
  }

  // Firefox and WebKit say nothing of a page that could not be loaded: what is not ready after a
  // while is loaded again.
  load(page) {
    this.missing.hidden = true;
    this.frame.hidden = false;
    this.loadingSince = performance.now();
    this.frame.src = page;
  }

  get loading() {
    return performance.now() - this.loadingSince < PATIENCE;
  }

  // Another origin's answer can't be read, but that there is one can be seen.
  async look() {
    const signal = AbortSignal.timeout(LOOK_EVERY);
    const page = `${this.origin}/html/index.html`;
    const look = fetch(page, { method: "HEAD", mode: "no-cors", cache: "no-store", signal });
    const there = await look.then(() => true, () => false);
    performance.clearResourceTimings();
    if (there && !this.ready && !this.loading) {
      this.load(page);
    } else if (there && !this.there) {
      this.say("running");
    } else if (!there) {
      this.say("not running");
      this.forget();
      this.frame.hidden = !this.ready; // a page that is open says so itself
      this.missing.hidden = this.ready;
    }
    this.there = there;
    this.row.dataset.there = there;
    setTimeout(() => this.look(), LOOK_EVERY);
  }

  send(text, token) {
    this.took = undefined;
    this.current.textContent = "–";
    if (!this.ready || !this.there) return;
    this.forget();
    this.waitsFor = token;
    this.tooLong = setTimeout(() => this.receive({ token, refused: "did not come back" }), FORGOTTEN);
    this.current.textContent = "…";
    this.say("on its way");
    this.frame.contentWindow.postMessage({ text, token }, this.origin);
  }

  forget() {
    clearTimeout(this.tooLong);
    if (this.waitsFor) this.current.textContent = "–";
    this.waitsFor = undefined;
  }

  receive({ ready, token, milliseconds, refused }) {
    if (ready) {
      this.ready = true;
      this.say("running");
      return;
    }
    if (refused === undefined) {
      this.results.push(milliseconds);
      if (this.results.length > KEPT) this.results.shift();
      this.median.textContent = numbers.format(median(this.results));
    }
    if (token !== this.waitsFor) return; // a message before this one, that took its time
    this.forget();
    this.took = milliseconds;
    this.current.textContent = refused === undefined ? numbers.format(milliseconds) : "–";
    this.say(refused ?? "running");
    summarize();
  }

  say(status) {
    this.status.textContent = status;
  }

  // What was measured at another distance says nothing of this one.
  beginAnew() {
    this.forget();
    this.results = [];
    for (const cell of [this.current, this.median]) cell.textContent = "–";
  }
}

const contenders = TECHNIQUES.map((technique) => new Contender(technique));

distanceSlider(() => {
  for (const contender of contenders) contender.beginAnew();
});
invitation();

addEventListener("message", ({ data, origin, source }) => {
  const from = contenders.find((contender) => contender.frame.contentWindow === source);
  if (from && from.origin === origin) from.receive(data);
});

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const text = field.value;
  refused.textContent = text === "" ? "Not sent: the text is empty." : "";
  if (text === "") return;
  token += 1;
  for (const contender of contenders) contender.send(text, token);
  field.select();
});

// Once all have it, one sentence: also for those who hear this page.
function summarize() {
  if (contenders.some(({ waitsFor }) => waitsFor)) return;
  const have = contenders.filter(({ took }) => took !== undefined).sort((a, b) => a.took - b.took);
  if (have.length < 2) return;
  const say = ({ frame, took }) => `${frame.title} after ${numbers.format(took)} ms`;
  const [first, last] = [say(have.at(0)), say(have.at(-1))];
  document.querySelector("#summary").textContent = `First to have it: ${first}. Last: ${last}.`;
}

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}
