// A list of the newest rows: old ones go, and the newest is kept in view at the bottom, unless the
// reader has scrolled up to read. Then what is read stays where it is.

const NEAR = 8; // pixels from the end that count as the end

// Returns what appends a row to `list`, of which `box` shows a part and `kept` rows stay; one of the
// class "stays" stays in any case.
export function follow(box, list, kept) {
  let following = true;
  let due = false;
  let top = 0;
  let tallest = 0; // pixels that the box is high while nothing takes of its room
  box.addEventListener("scroll", () => {
    const below = box.scrollHeight - box.scrollTop - box.clientHeight;
    if (below < NEAR) following = true;
    // The reader has scrolled up. (A box that was taller for a moment was scrolled up by that: WebKit
    // says so when it is small again.)
    else if (!due && box.scrollTop < top - 1 && below - NEAR > tallest - box.clientHeight) {
      following = false;
    }
    top = box.scrollTop;
    toEnd();
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
  const sizes = new ResizeObserver(() => {
    tallest = Math.max(tallest, box.clientHeight);
    toEnd();
  });
  addEventListener("resize", () => (tallest = box.clientHeight));
  sizes.observe(list);
  sizes.observe(box);

  return (row) => {
    list.append(row);
    while (list.childElementCount > kept) {
      const oldest = list.querySelector(":scope > :not(.stays)");
      if (!following) box.scrollTop -= oldest.offsetHeight;
      oldest.remove();
    }
    toEnd();
  };
}
