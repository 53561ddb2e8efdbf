// Keeps the newest at the bottom in view, unless the reader has scrolled up to read.

const NEAR = 48; // pixels from the end that count as the end

export function follow(box, list) {
  let following = true;
  let due = false;
  let top = 0;
  box.style.overflowAnchor = "none";
  box.addEventListener("scroll", () => {
    if (box.scrollHeight - box.scrollTop - box.clientHeight < NEAR) following = true;
    else if (box.scrollTop < top - 1) following = false; // only a reader scrolls up
    top = box.scrollTop;
    box.style.overflowAnchor = following ? "none" : "auto"; // what is read stays where it is
  });
  // Once a frame, not once a row: to look at sizes makes the browser lay out the page.
  const toEnd = () => {
    if (due || !following) return;
    due = true;
    requestAnimationFrame(() => {
      due = false;
      if (following) box.scrollTop = box.scrollHeight;
    });
  };
  new MutationObserver(toEnd).observe(list, { childList: true });
  const sizes = new ResizeObserver(toEnd);
  sizes.observe(list);
  sizes.observe(box);
}
