// Makes the links of a page lead to the servers beside its own: they run on the same machine,
// whatever name it is called by. The comparison is told where this page's server is, when that is
// not its usual port.
export function linkToNeighbours() {
  for (const link of document.querySelectorAll("nav a[href^='http://localhost']")) {
    link.hostname = location.hostname;
  }
  if (!/^800[1-4]$/.test(location.port)) {
    const { technique } = document.documentElement.dataset;
    document.querySelector("nav a[href^='/public']").search = `${technique}=${location.port}`;
  }
}
