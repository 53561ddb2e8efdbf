// The links of a page to the servers beside its own. They lead to where those are, whatever this one
// is called by, and pass on what this page was told in its address: which servers are elsewhere, and
// where the slider's line is. One that is followed says first whether somebody is there.

import { neighbour, serverOf, USUAL } from "./neighbour.js";

const PATIENCE = 3000; // milliseconds that a server may take to answer

export function linkToNeighbours() {
  const here = location.href;
  const told = new URLSearchParams(location.search);
  for (const name of [...told.keys()]) {
    if (name !== "line" && !(name in USUAL)) told.delete(name);
  }
  const { technique } = document.documentElement.dataset;
  const server = serverOf(here);
  if (server !== neighbour(here, USUAL[technique])) {
    const isPort = server === neighbour(here, location.port);
    told.set(technique, isPort ? location.port : server);
  }
  const said = Object.assign(document.createElement("p"), { id: "absent", role: "alert" });
  document.querySelector("nav").after(said);
  for (const link of document.querySelectorAll("nav a[href^='http://localhost']")) {
    const name = Object.keys(USUAL).find((name) => `${USUAL[name]}` === link.port);
    const there = neighbour(here, told.get(name) ?? "") ?? neighbour(here, link.port);
    link.href = new URL("html/index.html", there);
    link.search = told;
    const absent = `${link.textContent} is not running at ${there}. Start it: `;
    lookBefore(link, () => said.replaceChildren(absent, code(`cargo run -p ${name}`)));
  }
  document.querySelector("nav a[href*='public/']").search = told;
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
