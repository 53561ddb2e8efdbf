// <hold-time>: long polling's setting: for how many seconds at most the server is asked to hold a
// request (RFC 7240 §4.3), for how many it said it would, and for how long it has been holding this
// one.

const MARKUP = `
  <label for="hold">Hold for at most</label>
  <input type="number" id="hold" min="1" max="60" value="25" required>
  <span>s</span>
  <span class="note"><span id="applied">Preference-Applied: –</span> · held for
    <span id="held">–</span></span>`;

class HoldTime extends HTMLElement {
  connectedCallback() {
    if (this.field) return; // it was only moved
    this.classList.add("setting");
    this.innerHTML = MARKUP; // constant: nobody else's text is ever in it
    this.field = this.querySelector("input");
  }

  get seconds() {
    return this.field.checkValidity() ? this.field.valueAsNumber : 25;
  }

  // What is told four times a second is no live region: a screen reader would drown.
  held(seconds) {
    const text = seconds === undefined ? "–" : `${seconds.toFixed(1)} s`;
    this.querySelector("#held").textContent = text;
  }

  applied(response) {
    const applied = response.headers.get("Preference-Applied") ?? "–";
    this.querySelector("#applied").textContent = `Preference-Applied: ${applied}`;
  }
}

customElements.define("hold-time", HoldTime);

// For how many seconds the server is asked to hold a request.
export function holdTime() {
  return document.querySelector("hold-time").seconds;
}
