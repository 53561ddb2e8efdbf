// How old an update was on arrival. Its id says when it was made, by the server's clock; the page
// has only its own. On one machine both are the same clock. With a server elsewhere the page learns
// how far the two are apart from its own messages: each was made after it was sent, and before it
// came back. Until it knows, no age is said, rather than a false one.

const TOLERANCE = 20; // milliseconds: one clock, read by two programs
const EXACT = 100; // milliseconds: knowing the difference less exactly than that is not knowing it
const here = /^(localhost|.*\.localhost|127\.[\d.]+|\[::1\])$/.test(location.hostname);

const FIRST = 1e15; // of 2001: a smaller id, of somebody else's server, is no time

// The server's clock minus the page's, in milliseconds, is between these two.
let least = -Infinity;
let most = Infinity;

// An update has come: it was made before.
export function arrived(id, at) {
  if (id < FIRST) return;
  least = Math.max(least, madeAt(id) - at);
  if (least > most) most = Infinity; // a clock was set
}

// An update is the message that was sent then: it was made after that.
export function made(id, sent) {
  if (id < FIRST) return;
  most = Math.min(most, madeAt(id) - sent);
  if (least > most) least = -Infinity;
}

function difference() {
  if (here && least < TOLERANCE && most > -TOLERANCE) return 0;
  if (most - least < EXACT) return (least + most) / 2;
}

// Its age at a time of the page's clock, in milliseconds, where that is known.
export function ageOf(id, at) {
  const apart = difference();
  if (apart !== undefined && id >= FIRST) return Math.max(at + apart - madeAt(id), 0);
}

// By the server's clock, in milliseconds since 1970.
function madeAt(id) {
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
