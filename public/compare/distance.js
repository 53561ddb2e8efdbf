// The slider that says how far away the servers are. `scripts/all.sh` starts them behind lines, and
// says in this page's address where their control listens: ?line=PORT. Where there are no lines,
// there is no slider.

const DISTANCES = [0, 20, 100, 300]; // milliseconds for a round trip

// Calls `moved` each time the distance has changed.
export async function distanceSlider(moved) {
  const asked = Number(new URLSearchParams(location.search).get("line") ?? sessionStorage.line);
  if (!Number.isInteger(asked) || asked < 1 || asked > 65535) return;
  const control = `${location.protocol}//${location.hostname}:${asked}`;
  const place = document.querySelector("#distance");
  const slider = place.querySelector("input");
  const output = place.querySelector("output");
  const show = (milliseconds) => {
    output.textContent = `${milliseconds} ms`;
    slider.ariaValueText = output.textContent;
  };

  place.hidden = false; // at once: nothing moves when the answer comes
  const now = await fetch(control).then((answer) => answer.json(), () => undefined);
  if (typeof now !== "number") { // the lines are gone
    place.hidden = true;
    return;
  }
  sessionStorage.line = asked; // for when a link leads back here
  slider.value = DISTANCES.findLastIndex((milliseconds) => milliseconds <= now);
  show(now);
  slider.disabled = false;
  slider.addEventListener("input", async () => {
    const milliseconds = DISTANCES[slider.value];
    const headers = { "Content-Type": "application/json" };
    const answer = await fetch(control, { method: "PUT", headers, body: milliseconds });
    show(await answer.json());
    moved();
  });
}
