// One technique in the comparison: its frame, what stands in its place while there is no server, and
// its row of the scoreboard. It says what happens, as events: "came" when the message is back, "refused",
// "stopped" when its server is gone, "settled" when its message is on its way no more.

import { median } from "../page/median.js";
import { neighbour } from "../page/neighbour.js";

const LOOK_EVERY = 3000; // milliseconds between two looks whether a server is there
const PATIENCE = 10_000; // milliseconds that a page has to say that it is ready
const FORGOTTEN = 65_000; // milliseconds: a page waits for 60 s until its message is back
const KEPT = 1000; // results of a technique, the newest
const ENOUGH = 3; // results that have a median
const SCALE = Math.log(60_000); // a bar's full length is a minute; none is 1 ms
const CELLS = ["this", "way", "bytes", "requests", "median", "so-far"];
const numbers = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const calm = matchMedia("(prefers-reduced-motion: reduce)");

export const milliseconds = (number) => `${numbers.format(number)} ms`;

export class Contender extends EventTarget {
  #results = [];
  #ready = false;
  #there;
  #connected; // as the page in the frame says
  #loadingSince = -Infinity;
  #tooLong;
  #waitsFor; // the token of the message that is on its way
  #sentAt;

  constructor({ name, title, port }, asked) {
    super();
    this.title = title;
    const usual = neighbour(location.href, port);
    this.address = neighbour(location.href, asked ?? "") ?? usual;
    this.origin = new URL(this.address).origin;
    this.page = new URL("html/index.html", this.address).href;
    this.#makeFrame(name, this.address === usual);
    this.#makeRow(name);
    this.look();
  }

  #makeFrame(name, isUsual) {
    this.frame = element("iframe", { title: this.title, hidden: true });
    this.frame.dataset.technique = name;
    this.frame.addEventListener("load", () => {
      this.#ready = this.#connected = false; // until it says so
      this.frame.contentWindow.postMessage({ hello: true }, this.origin);
    });
    this.missing = element("div", { className: "missing", hidden: true });
    const { port } = new URL(this.address);
    const command = `${isUsual || !port ? "" : `PORT=${port} `}cargo run -p ${name}`;
    this.missing.append(
      element("h2", { textContent: this.title }),
      element("p", { textContent: `is not running at ${this.address}. Start it:` }),
      element("pre", {}, element("code", { textContent: command })),
      element("p", { textContent: "It appears here by itself." }),
    );
    const place = element("div", { className: "place" }, this.frame, this.missing);
    document.querySelector(".frames").append(place);
  }

  #makeRow(name) {
    this.row = element("tr");
    this.row.dataset.technique = name;
    // With what this page was told: a link leads from there back here.
    const link = element("a", { href: this.page + location.search, textContent: this.title });
    this.row.append(element("th", { scope: "row" }, link));
    this.cells = {};
    for (const className of CELLS) {
      this.cells[className] = element("td", { className, textContent: "–" });
      this.row.append(this.cells[className]);
    }
    this.bar = element("span", { className: "bar" });
    this.status = element("span", { className: "status" });
    this.cells.way.replaceChildren(this.bar, this.status);
    this.#say("looking");
    document.querySelector("#results tbody").append(this.row);
  }

  // Firefox and WebKit say nothing of a page that could not be loaded: what is not ready after a
  // while is loaded again.
  #load() {
    this.missing.hidden = true;
    this.frame.hidden = false;
    this.#loadingSince = performance.now();
    this.frame.src = this.page;
  }

  // Another origin's answer can't be read, but that there is one can be seen. (Where a browser has no
  // connection left for it, the page in the frame still has its own.)
  async look() {
    const signal = AbortSignal.timeout(LOOK_EVERY);
    const options = { method: "HEAD", mode: "no-cors", cache: "no-store", credentials: "include" };
    const look = fetch(this.page, { ...options, signal });
    const answered = await look.then(({ type, ok }) => ok || type === "opaque", () => false);
    const there = answered || (this.#ready && this.#connected);
    performance.clearResourceTimings();
    const loading = performance.now() - this.#loadingSince < PATIENCE;
    if (there && !this.#ready && !loading) {
      this.#load();
    } else if (there && !this.#there) {
      this.#say("running");
    } else if (!there) {
      this.#say("not running");
      this.#forget();
      this.frame.hidden = !this.#ready; // a page that is open says so itself
      this.missing.hidden = this.#ready;
      if (this.#there) this.dispatchEvent(new Event("stopped"));
    }
    this.#there = there;
    setTimeout(() => this.look(), LOOK_EVERY);
  }

  // The page in the frame sends it; what becomes of that, it says in the end.
  send(text, token) {
    this.#forget();
    this.took = undefined;
    this.#show({ this: "–", bytes: "–", requests: "–" });
    this.#draw(0);
    if (!this.#ready || !this.#there) return;
    this.#waitsFor = token;
    this.#sentAt = performance.now();
    this.#tooLong = setTimeout(() => this.hear({ token, refused: "did not come back" }), FORGOTTEN);
    this.#show({ this: "…" });
    this.#say("on its way");
    this.frame.contentWindow.postMessage({ text, token }, this.origin);
  }

  // A message is on its way: how far its bar is by now.
  grow() {
    if (!calm.matches && this.waits) this.#draw(performance.now() - this.#sentAt);
  }

  get waits() {
    return this.#waitsFor !== undefined;
  }

  #forget() {
    clearTimeout(this.#tooLong);
    if (!this.waits) return;
    this.#waitsFor = undefined;
    this.#show({ this: "–" });
    this.#draw(0);
    this.dispatchEvent(new Event("settled"));
  }

  // What the page in the frame says.
  hear({ ready, connected, counted, token, waits, milliseconds: took, cost, cut, refused }) {
    if (connected !== undefined) this.#connected = connected;
    if (counted) this.#count(counted.up + counted.down);
    if (ready) {
      this.#ready = true;
      this.#say("running");
    } else if (waits) {
      if (token !== this.#waitsFor) return;
      clearTimeout(this.#tooLong); // it may take as long as it likes
      this.#say(waits);
    } else if (token !== undefined) {
      if (refused === undefined && !cut) this.#keep(took);
      if (token !== this.#waitsFor) return; // a message before this one, that took its time
      if (refused === undefined) this.took = took;
      this.#forget();
      if (refused === undefined) {
        this.#show({ this: milliseconds(took) });
        if (cost) this.#show({ bytes: cost.up + cost.down, requests: cost.requests });
        this.#draw(took);
        this.#say("running");
        this.dispatchEvent(new CustomEvent("came", { detail: { cut } }));
      } else {
        this.#say(refused === "did not come back" ? refused : "not sent");
        this.dispatchEvent(new CustomEvent("refused", { detail: refused }));
      }
    }
  }

  #keep(took) {
    this.#results.push(took);
    if (this.#results.length > KEPT) this.#results.shift();
    if (this.#results.length < ENOUGH) return;
    this.#show({ median: milliseconds(median(this.#results)) });
  }

  #count(bytes) {
    const cell = this.cells["so-far"];
    if (cell.textContent === numbers.format(bytes)) return;
    this.#show({ "so-far": bytes });
    if (!calm.matches) cell.animate([{ background: "var(--news)" }, {}], 1000);
  }

  // What was measured at another distance says nothing of this one.
  beginAnew() {
    this.#forget();
    this.#results = [];
    this.#show({ this: "–", bytes: "–", requests: "–", median: "–" });
    this.#draw(0);
  }

  #show(what) {
    for (const [name, value] of Object.entries(what)) {
      this.cells[name].textContent = typeof value === "number" ? numbers.format(value) : value;
    }
  }

  #draw(took) {
    this.bar.style.setProperty("--length", Math.max(Math.log(took) / SCALE, took ? 0.02 : 0));
  }

  #say(status) {
    this.status.textContent = status;
    this.row.dataset.status = status;
  }
}

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}
