// The slider that says how far away the servers are, where they stand behind lines.

import { askControl, control } from "./control.js";

const DISTANCES = [0, 20, 100, 300]; // milliseconds for a round trip

// Calls `moved` with the milliseconds each time the distance has changed.
export async function distanceSlider(moved) {
  const place = document.querySelector("#distance");
  const slider = place.querySelector("input");
  const output = place.querySelector("output");
  const show = (milliseconds) => {
    output.textContent = `${milliseconds} ms`;
    slider.ariaValueText = output.textContent;
  };

  place.hidden = !control; // at once: nothing moves when the answer comes
  const answer = await askControl("");
  place.hidden = !answer;
  if (!answer) return;
  const now = await answer.json();
  slider.value = DISTANCES.findLastIndex((milliseconds) => milliseconds <= now);
  show(now);
  slider.disabled = false;
  slider.addEventListener("input", async () => {
    const headers = { "Content-Type": "application/json" };
    const body = DISTANCES[slider.value];
    const answer = await askControl("", { method: "PUT", headers, body });
    if (!answer) return;
    const milliseconds = await answer.json();
    show(milliseconds);
    moved(milliseconds);
  });
}
