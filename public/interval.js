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
  const stop = bar(document.querySelector("#wire").lastElementChild, "pausing", "the client waits", began);
  return new Promise((resolve, reject) => {
    let timer;
    const look = () => {
      clearTimeout(timer);
      const left = slider.valueAsNumber * 1000 - (performance.now() - began);
      if (left <= 0) resolve();
      else timer = setTimeout(look, left);
    };
    slider.oninput = look;
    cut.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(cut.reason);
    });
    look();
  }).finally(stop);
}
