// Where the servers beside this one are, as its page's browser has to call them. It knows no more
// than an address: the page's own.

// The ports at which they usually are. In a name or a path, these tell which part of it is the port.
export const USUAL = {
  "polling": 8001,
  "long-polling": 8002,
  "server-sent-events": 8003,
  "websockets": 8004,
};

// The address of the server at `port`, for a page whose address is `here`, of a server beside it:
//
//   http://localhost:8004/html/index.html       http://localhost:8001/
//   https://name-8004.app.example.dev/html/     https://name-8001.app.example.dev/
//   https://example.org/ann/proxy/8004/html/    https://example.org/ann/proxy/8001/
//
// It ends in "/", so that a path without one at its beginning goes on from it. `port` may also be a
// whole address, as somebody types it. Where it is neither, the answer is undefined.
export function neighbour(here, port) {
  if (/^https?:\/\//i.test(port)) return URL.canParse(port) ? serverOf(port) : undefined;
  if (!/^\d+$/.test(port) || port < 1 || port > 65535) return undefined;
  const url = new URL(serverOf(here));
  const ports = Object.values(USUAL);
  const own = new RegExp(`(?<![a-z\\d])(${ports.join("|")})(?![a-z\\d])`);
  // What has its port where ports stand, or an address of numbers, needs no name to say it.
  const isPlain = ports.includes(Number(url.port)) || url.hostname.startsWith("[");
  const part = isPlain ? undefined : ["hostname", "pathname"].find((part) => own.test(url[part]));
  if (part) url[part] = url[part].replace(own, Number(port));
  else url.port = port;
  return url.href;
}

// Whether pages of this origin are of a server beside that of the page at `here`: on the same host,
// or on one whose name differs in the port only.
export function isNeighbour(here, origin) {
  if (!URL.canParse(origin)) return false;
  if (new URL(origin).hostname === new URL(here).hostname) return true;
  const ports = origin.match(/\d+/g) ?? [];
  const addresses = ports.map((port) => neighbour(here, port)).filter(Boolean);
  return addresses.some((address) => new URL(address).origin === origin);
}

// The address of the server whose page is at this address: without the page's own part.
export function serverOf(page) {
  const url = new URL(page);
  const server = url.pathname.replace(/(?<=\/)(html|public\/compare)(\/[^/]*)?$/, "");
  url.pathname = server.replace(/\/*$/, "/");
  url.search = url.hash = "";
  return url.href;
}
