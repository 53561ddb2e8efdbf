// <message-form>: sends a message by the technique's own way, and says beside the field when it was
// not sent, and why. The text stays in the field until it is.

import { connection } from "../client/connection.js";
import { Unsent, Unsure } from "../client/message.js";
import { roundTrip } from "./round-trip.js";

const MARKUP = `
  <form id="message">
    <label for="text">Message</label>
    <input type="text" id="text" name="text"
      autocomplete="off" dir="auto" aria-describedby="refused">
    <button id="send">Send</button>
  </form>
  <p id="refused" role="alert"></p>`;

class MessageForm extends HTMLElement {
  #busy = false;
  #error;

  connectedCallback() {
    this.innerHTML = MARKUP; // constant: nobody else's text is ever in it
    this.setAttribute("role", "region");
    this.ariaLabel = "A message";
    this.field = this.querySelector("#text");
    this.addEventListener("submit", (event) => {
      event.preventDefault();
      this.submit();
    });
    this.field.addEventListener("input", () => this.say());
    connection.addEventListener("connected", () => {
      if (this.#error instanceof Unsent) this.say(); // it is true no longer
    });
  }

  async submit() {
    if (this.#busy) return;
    this.#busy = true;
    const text = this.field.value;
    const isSent = () => {
      if (this.field.value === text) this.field.value = "";
      this.say();
    };
    try {
      await roundTrip(text).sent;
      isSent();
    } catch (error) {
      this.say(error, text);
      error.back?.then(() => this.#error === error && isSent());
    }
    this.#busy = false;
  }

  say(error, text) {
    this.#error = error;
    const isHere = this.field.value === text;
    const rest = isHere ? " Your text is still here." : ` Your text was: ${text}`;
    const words = error instanceof Unsure ? error.message + rest : error?.message;
    this.querySelector("#refused").textContent = words ?? "";
    this.field.ariaInvalid = error ? "true" : null;
  }
}

customElements.define("message-form", MessageForm);
