// Makes the links of a page lead to the servers beside its own, whatever it is called by. The
// comparison is told where this page's server is, when that is not its usual place.

import { neighbour, serverOf, USUAL } from "./neighbour.js";

export function linkToNeighbours() {
  const here = location.href;
  for (const link of document.querySelectorAll("nav a[href^='http://localhost']")) {
    link.href = new URL("html/index.html", neighbour(here, link.port));
  }
  const { technique } = document.documentElement.dataset;
  const server = serverOf(here);
  if (server !== neighbour(here, USUAL[technique])) {
    const isPort = server === neighbour(here, location.port);
    const search = new URLSearchParams({ [technique]: isPort ? location.port : server });
    document.querySelector("nav a[href*='/public/']").search = search;
  }
}
