// <poll-interval>: polling's setting: how long the client waits between an answer and the next
// request.

const MARKUP = `
  <label for="interval">Ask every</label>
  <input type="range" id="interval" min="0.5" max="10" step="0.5" value="5">
  <output id="interval-output" for="interval">5 s</output>`;

class PollInterval extends HTMLElement {
  connectedCallback() {
    if (this.slider) return; // it was only moved
    this.classList.add("setting");
    this.innerHTML = MARKUP; // constant: nobody else's text is ever in it
    this.slider = this.querySelector("input");
    const output = this.querySelector("output");
    this.slider.addEventListener("input", () => (output.value = `${this.slider.valueAsNumber} s`));
  }
}

customElements.define("poll-interval", PollInterval);

// Waits for as long as the slider says. Ends sooner when it is moved below what has passed, and
// throws when `cut` says so.
export function pause(cut) {
  const { slider } = document.querySelector("poll-interval");
  const wire = document.querySelector("the-wire");
  const began = performance.now();
  const answer = wire.list.lastElementChild;
  const stop = answer ? wire.bar(answer, "pausing", "the client waits", began) : () => {};
  const over = new AbortController(); // or a listener would stay behind with each pause
  return new Promise((resolve, reject) => {
    let timer;
    const look = () => {
      clearTimeout(timer);
      const left = slider.valueAsNumber * 1000 - (performance.now() - began);
      if (left <= 0) resolve();
      else timer = setTimeout(look, left);
    };
    slider.addEventListener("input", look, { signal: over.signal });
    over.signal.addEventListener("abort", () => clearTimeout(timer));
    cut.addEventListener("abort", () => reject(cut.reason), { signal: over.signal });
    look();
  }).finally(() => {
    over.abort();
    stop();
  });
}
