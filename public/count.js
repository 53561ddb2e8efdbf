// What has happened since the page was opened: updates, requests, bytes, and the median age.

import { duration } from "./clock.js";
import { median } from "./median.js";

const KEPT = 1000; // ages, the newest: a page left open over a night does not grow
const numbers = new Intl.NumberFormat("en");

const sums = { updates: 0, requests: 0, down: 0, up: 0 };
const ages = [];
let due = false;

export function count(what, number = 1) {
  sums[what] += number;
  showSoon();
}

export function countAge(milliseconds) {
  ages.push(milliseconds);
  if (ages.length > KEPT) ages.shift();
  showSoon();
}

// A burst of updates is shown once, not once for each.
function showSoon() {
  if (due) return;
  due = true;
  setTimeout(() => {
    due = false;
    for (const [what, sum] of Object.entries(sums)) {
      document.querySelector(`#count-${what}`).textContent = numbers.format(sum);
    }
    const age = document.querySelector("#count-age");
    age.textContent = ages.length ? duration(median(ages)) : "–";
  }, 100);
}

