// <by-fetch>: the other setting of server-sent events: whether the page reads the stream by fetch, in
// the place of an EventSource.

import { connection } from "../client/connection.js";

const MARKUP = `
  <label><input type="checkbox" id="by-fetch"> Read it by <code>fetch</code></label>`;

class ByFetch extends HTMLElement {
  connectedCallback() {
    if (this.box) return; // it was only moved
    this.classList.add("setting");
    this.innerHTML = MARKUP; // constant: nobody else's text is ever in it
    this.box = this.querySelector("input");
    this.box.addEventListener("change", () => connection.renew("the other way"));
  }
}

customElements.define("by-fetch", ByFetch);

export function isByFetch() {
  return document.querySelector("by-fetch").box.checked;
}
