// Makes the links of a page lead to the servers beside its own, whatever it is called by. They pass on
// what this page was told in its address: which servers are elsewhere, and where the slider's line is.
// The comparison is told where this page's server is, when that is not its usual place.

import { neighbour, serverOf, USUAL } from "./neighbour.js";

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
  for (const link of document.querySelectorAll("nav a[href^='http://localhost']")) {
    const name = Object.keys(USUAL).find((name) => `${USUAL[name]}` === link.port);
    const there = neighbour(here, told.get(name) ?? "") ?? neighbour(here, link.port);
    link.href = new URL("html/index.html", there);
    link.search = told;
  }
  document.querySelector("nav a[href*='/public/']").search = told;
}
