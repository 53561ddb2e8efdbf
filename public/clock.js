// How old an update was on arrival. Its id says when it was made, by the server's clock; the page
// has only its own. Where the two plainly disagree, nothing is said rather than something false.

const TOLERANCE = 20; // milliseconds: clocks that agree still tick apart
const OLD = 600_000; // milliseconds: after so long the clocks are compared again

let compared = -Infinity;
let agreement = Promise.resolve(false);

// Compares the clocks, unless that was done lately. The server's `Date` is up to a second and a
// half old, and has no fractions: what differs by less than two seconds more is taken as agreement.
// This one request is not drawn: it belongs to the instrument, not to the technique.
export function compareClocks() {
  if (performance.now() - compared < OLD) return;
  compared = performance.now();
  agreement = difference().then((seconds) => -2 < seconds && seconds < 4, () => false);
}

async function difference() {
  const asked = Date.now();
  const response = await fetch("", { method: "HEAD", signal: AbortSignal.timeout(10_000) });
  const middle = (asked + Date.now()) / 2;
  return (middle - Date.parse(response.headers.get("Date"))) / 1000;
}

// Resolves to the age in milliseconds, or to nothing where the clocks disagree.
export async function ageOnArrival(id) {
  const age = Date.now() - id / 1000;
  if (age >= -TOLERANCE && (await agreement)) return Math.max(age, 0);
}

export function madeAt(id) {
  return id / 1000;
}

const UNITS = [ // below so many milliseconds, one of so many, and its name
  [1000, 1, "ms"],
  [60_000, 1000, "s"],
  [3_600_000, 60_000, "min"],
  [172_800_000, 3_600_000, "h"],
  [Infinity, 86_400_000, "days"],
];

// "12 ms", "3.4 s", "5 min", "3 h", "2 days"
export function duration(milliseconds) {
  const [, unit, name] = UNITS.find(([below]) => milliseconds < below);
  const number = milliseconds / unit;
  return `${number.toFixed(name === "s" && number < 9.95 ? 1 : 0)} ${name}`;
}
