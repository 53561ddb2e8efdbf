// Says so where the browser is too old for the page's modules. It is no module itself, and written
// so that any browser can read it. The markup is constant: nobody else's text is ever in it.
if (!window.AbortSignal || !AbortSignal.any) {
  document.querySelector("the-cable").innerHTML =
    "<p>This page needs Chrome 116, Firefox 124, Safari 17.4 or newer.</p>";
}
