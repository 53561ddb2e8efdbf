// A list of the newest rows: old ones go, and the newest is kept in view at the bottom, unless the
// reader has scrolled up to read. Then what is read stays where it is.

const NEAR = 8; // pixels from the end that count as the end

// Returns what appends a row to `list`, of which `box` shows a part and `kept` rows stay; one of the
// class "stays" stays in any case.
export function follow(box, list, kept) {
  let following = true;
  let due = false;
  let top = 0;
  box.addEventListener("scroll", () => {
    if (box.scrollHeight - box.scrollTop - box.clientHeight < NEAR) following = true;
    else if (!due && box.scrollTop < top - 1) following = false; // the reader has scrolled up
    top = box.scrollTop;
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
  const sizes = new ResizeObserver(toEnd);
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
