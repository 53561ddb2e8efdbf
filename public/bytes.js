// How many bytes something took. An answer's are measured by the browser; for the rest a script
// can only add up what it knows, and the pages say so.

const encoder = new TextEncoder();
const length = (text) => encoder.encode(text).length;

// A request as far as a script knows it. The browser adds some headers more.
export function requestBytes(method, url, body = "", headers = {}) {
  const known = {
    "Host": location.host,
    "Connection": "keep-alive",
    "User-Agent": navigator.userAgent,
    "Accept": "*/*",
    "Referer": location.href,
    "Accept-Encoding": "gzip, deflate",
    "Accept-Language": navigator.languages.join(","),
    ...headers,
  };
  const lines = Object.entries(known).map(([name, value]) => `${name}: ${value}\r\n`);
  return length(`${method} ${url} HTTP/1.1\r\n${lines.join("")}\r\n${body}`);
}

// An event of an event stream: its fields and the blank line behind them.
export function eventBytes({ id, event, update }) {
  const name = event && event !== "message" ? `event: ${event}\n` : "";
  const data = update.split("\n").map((line) => `data: ${line}\n`);
  return length(`id: ${id}\n${name}${data.join("")}\n`);
}

// A text frame: a header of 2 bytes, 4 from 126 bytes of text on, and from a client 4 more for the
// mask (RFC 6455 §5.2).
export function frameBytes(text, masked) {
  const payload = length(text);
  return (payload < 126 ? 2 : 4) + (masked ? 4 : 0) + payload;
}

// What the browser has measured of an answer comes a moment after the answer, or a moment before.
const waiting = [];
const measured = [];

export function answerBytes(url, started, tell) {
  waiting.push({ name: new URL(url, location).href, started, tell });
  if (waiting.length > 20) waiting.shift();
  match();
}

new PerformanceObserver((entries) => {
  measured.push(...entries.getEntries().filter((entry) => entry.transferSize > 0));
  measured.splice(0, measured.length - 20);
  match();
  performance.clearResourceTimings(); // or the browser's list is full after a while
}).observe({ type: "resource" });

function match() {
  for (const one of [...waiting]) {
    const fits = ({ name, startTime }) => name === one.name && one.started <= startTime + 1;
    const index = measured.findIndex(fits);
    if (index < 0) continue;
    waiting.splice(waiting.indexOf(one), 1);
    one.tell(measured.splice(index, 1)[0].transferSize);
  }
}
