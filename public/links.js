// The other three pages run on the same machine, whatever name it is called by.

for (const link of document.querySelectorAll("nav a[href^='http://localhost']")) {
  link.hostname = location.hostname;
}
document.documentElement.classList.toggle("framed", window !== window.top);
