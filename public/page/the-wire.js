// <the-wire>: what goes over the wire, drawn as it happens: one row for each thing that crossed it,
// oldest first. It is a plain list which the style sheet draws as arrows between two lifelines. Its
// child, where it has one, is a setting of the technique.

import { follow } from "./follow.js";

const KEPT = 60; // rows
const numbers = new Intl.NumberFormat("en");
const MARKUP = `
  <div class="top"><h2 id="wire-heading">On the wire</h2></div>
  <div class="scroll" tabindex="0" role="region" aria-labelledby="wire-heading">
    <p class="ends" aria-hidden="true"><span>Client</span> <span>Server</span></p>
    <ol id="wire"></ol>
  </div>`;

class TheWire extends HTMLElement {
  open = false; // while a connection stays open, the space between the lifelines is tinted
  #held = new Set(); // the rows of held requests: their bars go on beside what else crosses

  connectedCallback() {
    const settings = [...this.children];
    this.innerHTML = MARKUP; // constant: nobody else's text is ever in it
    this.querySelector(".top").append(...settings);
    this.list = this.querySelector("#wire");
    const heads = this.querySelector(".ends");
    this.add = follow(this.list.parentElement, this.list, KEPT, heads);
  }

  // One arrow. `way` is "up" (client to server) or "down"; `kind` is "", "news" or "muted".
  arrow(way, label, bytes, kind = "") {
    const row = document.createElement("li");
    const during = this.#held.size ? "during" : "";
    row.className = `${way} ${kind} ${this.open ? "open" : ""} ${during}`;
    row.append(
      part("time", clockTime(new Date())),
      part("way", way === "up" ? " client to server: " : " server to client: "),
      part("label", label),
      part("bytes", bytes === undefined ? "" : ` ${numbers.format(bytes)} bytes`),
    );
    this.add(row);
    return row;
  }

  // A line across the wire where nothing crosses: the cable is cut, the connection is lost, updates
  // are missing.
  gap(label) {
    const row = document.createElement("li");
    row.className = this.open ? "gap open" : "gap";
    row.append(part("time", clockTime(new Date())), part("label", ` ${label}`));
    this.add(row);
  }

  // A request that got no answer: nobody knows how much of it has left. Attempts that fail one after
  // the other share one row.
  unanswered(row, why) {
    const before = row.previousElementSibling;
    const times = before?.classList.contains("lost") ? Number(before.dataset.times) + 1 : 1;
    if (times > 1) before.remove();
    row.dataset.times = times;
    row.classList.add("lost");
    const often = times > 1 ? `, ${times} times` : "";
    row.querySelector(".label").append(part("why", ` – ${why}${often}`));
    row.querySelector(".bytes").textContent = "";
  }

  // A bar that grows below a row until it is stopped: on the server's lifeline while a request is
  // "held" there, on the client's while the client is "pausing" before it asks again.
  bar(row, name, words, started, tick = () => {}) {
    const bar = part("bar", "");
    const text = part("length", "");
    bar.append(part("way", ", "), text);
    row.classList.add(name);
    row.append(bar);
    if (name === "held") {
      this.#held.add(row);
      // What has crossed since the request went out is beside the bar too.
      let later = row;
      while ((later = later.nextElementSibling)) later.classList.add("during");
    }
    const grow = () => {
      const seconds = (performance.now() - started) / 1000;
      text.textContent = `${words} ${seconds.toFixed(1)} s`;
      bar.style.setProperty("--seconds", seconds.toFixed(2));
      tick(seconds);
    };
    grow();
    const timer = setInterval(grow, 250);
    return () => {
      grow();
      clearInterval(timer);
      this.#held.delete(row);
      row.classList.replace(name, `was-${name}`);
    };
  }
}

// An id has 16 digits, of which only the last tell two apart.
export function shortId(id) {
  return String(id).replace(/^\d+(?=\d{6}$)/, "…");
}

function part(name, text) {
  const element = document.createElement(name === "time" ? "time" : "span");
  element.className = name;
  element.textContent = text;
  return element;
}

function clockTime(date) {
  const digits = (number) => String(number).padStart(2, "0");
  const parts = [date.getHours(), date.getMinutes(), date.getSeconds()].map(digits);
  return `${parts.join(":")}.${Math.floor(date.getMilliseconds() / 100)}`;
}

customElements.define("the-wire", TheWire);
