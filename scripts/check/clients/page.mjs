// A page of ours in a real browser, as a client: `SERVER=http://localhost:8001 node page.mjs polling chromium`
// (or firefox, or webkit; behind server-sent-events, firefox fetch: the page's other way). It serves the
// page's files, passes everything else on to SERVER, byte by byte, and prints what the page's list shows.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { connect, createServer as listen } from "node:net";
import { tmpdir } from "node:os";
import { createInterface } from "node:readline";

// The first of these programs that is there.
const found = (...names) => {
  const folders = process.env.PATH.split(":");
  const files = names.flatMap((it) => it.includes("/") ? it : folders.map((folder) => `${folder}/${it}`));
  return files.find(existsSync);
};
const miniBrowser = (version) => [`/usr/lib/x86_64-linux-gnu/webkit2gtk-${version}/MiniBrowser`,
  `/usr/lib/aarch64-linux-gnu/webkit2gtk-${version}/MiniBrowser`, `/usr/libexec/webkit2gtk-${version}/MiniBrowser`];
const browsers = {
  chromium: found(process.env.CHROME || "chromium", "chromium-browser", "google-chrome", "google-chrome-stable"),
  firefox: found(process.env.FIREFOX || "firefox-esr", "firefox"),
  webkit: found(...miniBrowser("4.1"), ...miniBrowser("4.0")), // on a screen: xvfb-run -a, where there is none
};
const [technique, engine, way] = process.argv.slice(2);
if (!browsers[engine]) {
  console.error(`Say polling, long-polling, server-sent-events or websockets, and a browser that is here: ${
    Object.keys(browsers).filter((name) => browsers[name]).join(", ")}`);
  process.exit(2);
}
const { port } = new URL(process.env.SERVER);
const root = new URL("../../../", import.meta.url);
const TYPES = { html: "text/html; charset=utf-8", js: "text/javascript", css: "text/css" };

// --- what the page tells us, and we tell it, beside its own requests: at a port of its own

const toTell = []; // { say: TEXT } or { leave: true }
let tell = () => {};
const beside = createServer((request, response) => {
  response.setHeader("Access-Control-Allow-Origin", "*");
  if (request.method === "POST") {
    let text = "";
    request.setEncoding("utf8").on("data", (piece) => (text += piece)).on("end", () => {
      console.log(text);
      response.end();
    });
    return;
  }
  tell = () => {
    if (toTell.length === 0) return;
    tell = () => {};
    response.end(JSON.stringify(toTell.shift()));
  };
  tell();
});
beside.listen(0, "127.0.0.1");
await once(beside, "listening");

// Runs in the page, before its own scripts.
function inPage(program, byFetch) {
  const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
  let told = Promise.resolve();
  let typed;
  const row = (it) => (it.classList.contains("gap") ? { gap: true } : {
    id: Number(it.dataset.id),
    update: it.querySelector("bdi").textContent,
    event: it.querySelector(".event")?.textContent,
  });
  new MutationObserver((records) => {
    const added = (id) => records.filter((it) => it.target.id === id).flatMap((it) => [...it.addedNodes]);
    const lines = added("updates").map(row);
    if (added("refused").length > 0) lines.push({ unsent: typed });
    const body = lines.map((line) => JSON.stringify(line)).join("\n");
    if (body) told = told.then(() => fetch(program, { method: "POST", mode: "no-cors", body }));
  }).observe(document, { subtree: true, childList: true });
  (async () => {
    for (;;) {
      const { say, leave } = await (await fetch(program)).json();
      if (leave) return location.replace("about:blank");
      const field = document.querySelector("#text");
      while (field.value) await sleep(50); // what was said before is not confirmed yet
      field.value = typed = say;
      field.form.requestSubmit();
    }
  })();
  const { define } = CustomElementRegistry.prototype;
  customElements.define = (name, element) => {
    define.call(customElements, name, element);
    if (byFetch && name === "by-fetch") document.querySelector("by-fetch input").checked = true;
  };
}

// --- the page's server

const lines = new Set(); // connections to SERVER
const front = listen({ allowHalfOpen: true }, (client) => {
  let head = Buffer.alloc(0);
  client.setNoDelay(true).on("error", () => {});
  const read = (piece) => {
    head = Buffer.concat([head, piece]);
    if (!head.includes("\r\n\r\n")) return;
    client.off("data", read).pause();
    const path = /^GET (\/(?:html|public)\/[^ ?]*)/.exec(head.toString("latin1"))?.[1];
    if (path) file(client, path);
    else passOn(client, head);
  };
  client.on("data", read);
});

function passOn(client, head) {
  const server = connect({ port, host: "localhost", allowHalfOpen: true, noDelay: true });
  lines.add(server);
  server.on("close", () => lines.delete(server));
  // A reset is a reset on the other side too.
  server.on("error", () => client.resetAndDestroy());
  client.on("error", () => server.resetAndDestroy());
  client.on("close", () => server.destroy());
  server.write(head);
  client.pipe(server);
  server.pipe(client);
}

function file(client, path) {
  const url = new URL(path.startsWith("/html/") ? `${technique}/public${path}` : path.slice(1), root);
  const isThere = url.href.startsWith(root.href) && existsSync(url);
  let body = isThere ? readFileSync(url) : "there is no such file\n";
  if (isThere && path.endsWith(".html")) {
    const program = `http://127.0.0.1:${beside.address().port}/`;
    const script = `<script>(${inPage})(${JSON.stringify(program)}, ${way === "fetch"})</script>`;
    body = Buffer.from(String(body).replace("<head>", () => `<head>${script}`));
  }
  const head = [
    isThere ? "HTTP/1.1 200 OK" : "HTTP/1.1 404 Not Found",
    `Content-Type: ${TYPES[path.split(".").pop()] ?? "application/octet-stream"}`,
    `Content-Length: ${body.length}`,
    "Connection: close",
  ];
  client.write(`${head.join("\r\n")}\r\n\r\n`);
  client.end(body);
}

front.listen(0, "127.0.0.1");
await once(front, "listening");
const url = `http://127.0.0.1:${front.address().port}/html/index.html`;

// --- the browser

// Who is killed can't tidy up: the next one does.
for (const name of readdirSync(tmpdir())) {
  const pid = /^page-(\d+)$/.exec(name)?.[1];
  try {
    if (pid) process.kill(pid, 0);
  } catch {
    rmSync(`${tmpdir()}/${name}`, { recursive: true, force: true });
  }
}
const folder = `${tmpdir()}/page-${process.pid}`;
mkdirSync(folder);
const CHROMIUMS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
  "--disable-background-networking", "--disable-component-update", "--disable-sync", `--user-data-dir=${folder}`];
const options = {
  chromium: CHROMIUMS,
  firefox: ["--headless", "--no-remote", "--profile", folder],
  webkit: [],
};
const PREFERENCES = {
  "browser.aboutwelcome.enabled": false,
  "browser.shell.checkDefaultBrowser": false,
  "browser.startup.homepage_override.mstone": "ignore",
  "datareporting.policy.dataSubmissionEnabled": false,
  "network.captive-portal-service.enabled": false,
  "network.connectivity-service.enabled": false,
};
const user = Object.entries(PREFERENCES).map(([name, value]) => `user_pref("${name}", ${JSON.stringify(value)});`);
writeFileSync(`${folder}/user.js`, user.join("\n"));

// A shell stands above it, in a group of its own. When this program ends, however it does, the shell's
// input ends: it ends the browser then, and takes away what that has written.
const above = `"$@" >/dev/null 2>&1 & exec >/dev/null 2>&1; cat; trap '' TERM; kill 0
  for again in 1 2 3 4 5; do sleep 1; rm -rf "$HOME"; done; kill -s KILL 0`;
const shell = spawn("sh", ["-c", above, "sh", browsers[engine], ...options[engine], url], {
  detached: true,
  stdio: ["pipe", "ignore", "ignore"],
  env: { ...process.env, HOME: folder, TMPDIR: folder },
});
shell.on("error", (why) => {
  console.error(why.message);
  process.exit(1);
});

createInterface({ input: process.stdin }).on("line", (say) => {
  toTell.push({ say });
  tell();
});

process.on("SIGTERM", async () => {
  toTell.unshift({ leave: true }); // as a user who goes elsewhere: a WebSocket says goodbye
  tell();
  const end = Date.now() + 1500;
  while (lines.size > 0 && Date.now() < end) await new Promise((done) => setTimeout(done, 20));
  process.exit();
});
