// Polling's pause between an answer and the next request: as long as the slider says.

import { bar } from "./wire.js";

const slider = document.querySelector("#interval");
const output = document.querySelector("#interval-output");

const say = () => (output.value = `${slider.valueAsNumber} s`);
slider.addEventListener("input", say);
say();

// Ends sooner when the slider is moved below what has passed, and throws when `cut` says so.
export function pause(cut) {
  const began = performance.now();
  const answer = document.querySelector("#wire").lastElementChild;
  const stop = answer ? bar(answer, "pausing", "the client waits", began) : () => {};
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
