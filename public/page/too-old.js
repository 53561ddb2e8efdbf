// Says so where the browser is too old for the page's modules. It is no module itself, and written
// so that any browser can read it.
if (!window.AbortSignal || !AbortSignal.any) {
  document.querySelector("the-cable").textContent =
    "This page needs Chrome 116, Firefox 124, Safari 17.4 or newer.";
}
