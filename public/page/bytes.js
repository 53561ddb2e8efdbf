// How many bytes something took, added up from what a script knows of it, as HTTP/1.1 writes it.

const encoder = new TextEncoder();
const length = (text) => encoder.encode(text).length;
const fields = (entries) => entries.map(([name, value]) => `${name}: ${value}\r\n`).join("");

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
  return length(`${method} ${url} HTTP/1.1\r\n${fields(Object.entries(known))}\r\n${body}`);
}

// An answer: of one from its own server, a script sees every header. `body` is for one that does
// not say how long it is; that to a HEAD has none, whatever it says.
export function answerBytes({ status, statusText, headers }, { method, body = "" }) {
  const head = length(`HTTP/1.1 ${status} ${statusText}\r\n${fields([...headers])}\r\n`);
  if (method === "HEAD") return head;
  return head + Number(headers.get("Content-Length") ?? length(body));
}

// An event of an event stream: its fields and the blank line behind them.
export function eventBytes({ id, event, update }) {
  const fields = id === undefined ? "" : `id: ${id}\n`;
  const name = event && event !== "message" ? `event: ${event}\n` : "";
  const data = update.split("\n").map((line) => `data: ${line}\n`);
  return length(`${fields}${name}${data.join("")}\n`);
}

// A text frame: a header of 2 bytes, 4 from 126 bytes of text on, and from a client 4 more for the
// mask (RFC 6455 §5.2).
export function frameBytes(text, masked) {
  const payload = length(text);
  return (payload < 126 ? 2 : 4) + (masked ? 4 : 0) + payload;
}
