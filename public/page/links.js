// The links of a page to the servers beside its own. They lead to where those are, whatever this one
// is called by, and take along what the page's address says of the servers and of their lines. One
// that is followed says first whether somebody is there.

import { neighbour, serverOf, USUAL } from "./neighbour.js";

const PATIENCE = 3000; // milliseconds that a server may take to answer

export function linkToNeighbours() {
  const here = location.href;
  const asked = new URLSearchParams(location.search);
  const known = [...Object.keys(USUAL), "line"].filter((name) => asked.get(name));
  const query = new URLSearchParams(known.map((name) => [name, asked.get(name)]));
  const { technique } = document.documentElement.dataset;
  const server = serverOf(here);
  if (server !== neighbour(here, USUAL[technique])) {
    const isPort = server === neighbour(here, location.port);
    query.set(technique, isPort ? location.port : server);
  }
  const said = Object.assign(document.createElement("p"), { id: "absent", role: "alert" });
  document.querySelector("nav").after(said);
  for (const link of document.querySelectorAll("nav a")) {
    if (link.matches("[href^='http://localhost:']")) {
      const [name, port] = Object.entries(USUAL).find(([, port]) => link.port === `${port}`);
      const server = neighbour(here, query.get(name)) ?? neighbour(here, port);
      link.href = new URL("html/index.html", server);
      const absent = `${link.textContent} is not running at ${server}. Start it: `;
      lookBefore(link, () => said.replaceChildren(absent, code(`cargo run -p ${name}`)));
    }
    link.search = query;
  }
}

// Calls `isAbsent` in place of following the link where nobody is there. (Not where it is to be opened
// elsewhere, in a new tab.)
function lookBefore(link, isAbsent) {
  link.addEventListener("click", async (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    const signal = AbortSignal.timeout(PATIENCE);
    const look = fetch(link.href, { method: "HEAD", mode: "no-cors", cache: "no-store", signal });
    const isThere = await look.then(() => true, () => false);
    if (isThere) location.assign(link.href);
    else isAbsent();
  });
}

function code(text) {
  return Object.assign(document.createElement("code"), { textContent: text });
}
