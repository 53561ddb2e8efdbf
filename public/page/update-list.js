// <update-list>: what was received, each update with its age on arrival. It says "update" with each
// of them, as an event whose `detail` is the update.

import { connection } from "../client/connection.js";
import { ageOf, arrived, duration } from "./clock.js";
import { follow } from "./follow.js";

const KEPT = 200; // rows: a page left open over a night does not grow
const BURST = 300; // milliseconds: what follows sooner is not read out, or a screen reader drowns
const CALM = 1000;
const MARKUP = `
  <h2 id="updates-heading">Updates</h2>
  <div id="updates" role="log" aria-live="polite"
    aria-labelledby="updates-heading" tabindex="0"></div>`;

class UpdateList extends HTMLElement {
  #latest = -Infinity;
  #calm;

  connectedCallback() {
    this.innerHTML = MARKUP; // constant: nobody else's text is ever in it
    this.setAttribute("role", "region");
    this.setAttribute("aria-labelledby", "updates-heading");
    this.list = this.querySelector("#updates");
    this.add = follow(this.list, this.list, KEPT);
    // In the comparison four lists would speak at once: it says itself what came.
    this.live = window === window.top ? "polite" : "off";
    this.list.ariaLive = this.live;
  }

  // Returns the age in milliseconds, where it is known and says something about the technique: not
  // that of an update which is old because we were away. A stranger's text is text: it is never
  // read as HTML.
  show(update) {
    const now = Date.now();
    arrived(update.id, now);
    this.dispatchEvent(new CustomEvent("update", { detail: update }));
    const row = document.createElement("div");
    const text = document.createElement("bdi"); // right-to-left text keeps to itself
    row.dataset.id = update.id;
    text.textContent = update.update;
    row.append("Received: ", text);
    if (update.event && update.event !== "message") {
      row.append(" ", span("event", update.event));
    }
    const age = ageOf(update.id, now);
    row.append(" ", span("age", age === undefined ? "" : `${duration(age)} old on arrival`));
    this.#quietInBurst();
    this.add(row);
    if (age <= now - connection.since) return age;
  }

  // Stays above what came after it, however much that is, until there is another one.
  gap(text) {
    this.list.querySelector(".gap")?.remove();
    const row = document.createElement("div");
    row.className = "gap stays";
    row.textContent = text;
    this.add(row);
  }

  #quietInBurst() {
    const now = performance.now();
    if (now - this.#latest < BURST) {
      this.list.ariaLive = "off";
      clearTimeout(this.#calm);
      this.#calm = setTimeout(() => (this.list.ariaLive = this.live), CALM);
    }
    this.#latest = now;
  }
}

function span(name, text) {
  const element = document.createElement("span");
  element.className = name;
  element.textContent = text;
  return element;
}

customElements.define("update-list", UpdateList);
