// <the-cable>: the state of the connection, and two buttons to cut it and to plug it in again.
// What stands in it before is for a browser in which the page's scripts can't run.

import { connection } from "../client/connection.js";

const MARKUP = `
  <p id="status" role="status">connecting</p>
  <p id="help" class="note" hidden>
    The server is there, and refuses this page's WebSocket. Perhaps it does not know this address.
    This tells it: <code></code>
  </p>
  <p class="buttons">
    <button type="button" id="cut">Cut the cable</button>
    <button type="button" id="plug" disabled>Plug it in</button>
  </p>`;

class TheCable extends HTMLElement {
  #countdown;

  connectedCallback() {
    if (!AbortSignal.any) return; // the browser is too old: what stands here says so
    this.setAttribute("role", "region");
    this.ariaLabel = "Connection";
    this.innerHTML = MARKUP; // constant: nobody else's text is ever in it
    this.status = this.querySelector("#status");
    this.cut = this.querySelector("#cut");
    this.plug = this.querySelector("#plug");
    this.cut.addEventListener("click", () => {
      connection.cut();
      this.plug.focus();
    });
    this.plug.addEventListener("click", () => {
      connection.plugIn();
      this.say("connecting");
      this.cut.focus();
    });
    this.help = this.querySelector("#help");
    this.help.querySelector("code").textContent = admitting(location.hostname);
    const by = (words) => (words ? ": the browser, by itself" : "");
    connection.addEventListener("connecting", ({ detail }) => {
      this.say(`connecting${by(detail.byItself)}`);
    });
    connection.addEventListener("connected", () => {
      this.help.hidden = true;
      this.say("connected");
    });
    connection.addEventListener("cut", () => {
      this.say("cut: updates go on being made; plug it in again, and the page catches up");
    });
    connection.addEventListener("lost", ({ detail }) => {
      this.help.hidden = !detail.refused;
      if (detail.seconds !== undefined) this.count(detail);
    });
  }

  count({ seconds, attempt, byItself, refused }) {
    const words = byItself ? "the browser, by itself" : `attempt ${attempt}`;
    const before = refused ? "refused, " : "";
    const end = performance.now() + seconds * 1000;
    const tick = () => {
      const left = Math.ceil((end - performance.now()) / 1000);
      if (left <= 0) return;
      this.say(`${before}reconnecting in ${left} s (${words})`, "reconnecting");
      this.#countdown = setTimeout(tick, 200);
    };
    clearTimeout(this.#countdown);
    tick();
  }

  // A screen reader says a new state, but not each second of a countdown; in a frame of the
  // comparison, nothing: four would speak at once.
  say(text, state = text.split(":")[0]) {
    if (state !== "reconnecting") clearTimeout(this.#countdown);
    const { status } = this;
    const framed = window !== window.top;
    const said = framed ? text.split(":")[0] : text; // there is little room in a frame
    if (status.textContent === said) return;
    const quiet = status.dataset.state === state || framed;
    status.ariaLive = quiet ? "off" : "polite";
    status.dataset.state = state;
    status.textContent = said;
    const plugged = state !== "cut";
    [this.cut.disabled, this.plug.disabled] = [!plugged, plugged];
  }
}

// The command by which a server of this technique takes a page by this name.
function admitting(name) {
  return `ALLOWED_HOSTS=${name} cargo run -p ${document.documentElement.dataset.technique}`;
}

customElements.define("the-cable", TheCable);
