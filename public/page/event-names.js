// <event-names>: the setting of server-sent events: the names of events for which the page listens.
// There is no way to listen for all: an EventSource hands an event with a name to the listeners for
// that name, and to nobody else.

import { connection } from "../client/connection.js";

// The stream's own `open` and `error` are no events of the server, and a gap is no update.
const NO_UPDATES = ["", "open", "error", "gap"];
const MARKUP = `
  <details>
    <summary>Names of events</summary>
    <label for="event-names">Also listen for events named</label>
    <input type="text" id="event-names" value="greeting"
      autocomplete="off" spellcheck="false" aria-describedby="event-names-note">
    <span id="event-names-note" class="note">
      Events with other names are ignored, and the page learns no ids from them. So after 1,000 of
      them in a row, a new connection may be told of a gap in which it has missed nothing.
    </span>
  </details>`;

class EventNames extends HTMLElement {
  connectedCallback() {
    if (this.field) return; // it was only moved
    this.classList.add("setting");
    this.innerHTML = MARKUP; // constant: nobody else's text is ever in it
    this.field = this.querySelector("input");
    let heard = [...this.names].join();
    this.field.addEventListener("change", () => {
      const wanted = [...this.names].join();
      if (wanted !== heard) connection.renew("listens for other names");
      heard = wanted;
    });
  }

  get names() {
    const names = this.field.value.split(/[\s,]+/).filter((name) => !NO_UPDATES.includes(name));
    return new Set(["message", ...names]); // "message": an event without a name
  }
}

customElements.define("event-names", EventNames);

export function eventNames() {
  return document.querySelector("event-names").names;
}
