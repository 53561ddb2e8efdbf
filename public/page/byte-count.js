// <byte-count>: what has happened since the page was opened: updates, requests, bytes, and the
// median age. How the technique's bytes are counted stands in it: its page says that. It says
// "counted", as an event, when its numbers have changed.

import { duration } from "./clock.js";
import { median } from "./median.js";

const KEPT = 1000; // ages, the newest: a page left open over a night does not grow
const numbers = new Intl.NumberFormat("en");
const MARKUP = `
  <h2 id="count-heading">Since this page was opened</h2>
  <dl id="count">
    <div><dt>Updates</dt><dd id="count-updates">0</dd></div>
    <div><dt>Requests</dt><dd id="count-requests">0</dd></div>
    <div><dt>Bytes down</dt><dd id="count-down">0</dd></div>
    <div><dt>Bytes up</dt><dd id="count-up">0</dd></div>
    <div><dt>Median age, live</dt><dd id="count-age">–</dd></div>
  </dl>
  <details class="note">
    <summary>How this is counted</summary>
    <p>
      An age is the time from when the server made an update until the page has it. Where the two have
      different clocks, the page measures the difference by its own messages; until then it says no
      age.
    </p>
    <p>
      The median is of what was made while this page was connected. The age of an update that was
      there before says when the page was opened, and nothing of the technique.
    </p>
  </details>`;

class ByteCount extends HTMLElement {
  #sums = { updates: 0, requests: 0, down: 0, up: 0 };
  #ages = [];
  #due = false;

  connectedCallback() {
    const note = [...this.childNodes];
    this.innerHTML = MARKUP; // constant: nobody else's text is ever in it
    const details = this.querySelector("details");
    details.append(...note);
    details.addEventListener("toggle", () => {
      if (details.open) details.scrollIntoView({ block: "nearest" });
    });
    this.setAttribute("role", "region");
    this.setAttribute("aria-labelledby", "count-heading");
  }

  get sums() {
    return { ...this.#sums };
  }

  add(what, number = 1) {
    this.#sums[what] += number;
    this.#showSoon();
  }

  addAge(milliseconds) {
    this.#ages.push(milliseconds);
    if (this.#ages.length > KEPT) this.#ages.shift();
    this.#showSoon();
  }

  // A burst of updates is shown once, not once for each.
  #showSoon() {
    if (this.#due) return;
    this.#due = true;
    setTimeout(() => {
      this.#due = false;
      for (const [what, sum] of Object.entries(this.#sums)) {
        this.querySelector(`#count-${what}`).textContent = numbers.format(sum);
      }
      const age = this.querySelector("#count-age");
      age.textContent = this.#ages.length ? duration(median(this.#ages)) : "–";
      this.dispatchEvent(new CustomEvent("counted"));
    }, 100);
  }
}

customElements.define("byte-count", ByteCount);
