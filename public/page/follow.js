// A list of the newest rows: old ones go, and the newest is kept in view, unless the reader has
// scrolled up to read. Then what is read stays where it is. The topmost row in view is a whole one: the
// rest of the room is free, below the last. (The style sheet makes it so, by --rest; --room is how
// high the part of the list in view is.)

const NEAR = 8; // pixels from the end that count as the end

// Returns what appends a row to `list`, of which `box` shows a part and `kept` rows stay; one of the
// class "stays" stays in any case. `heads` stand above the rows, and stay in view.
export function follow(box, list, kept, heads) {
  let following = true;
  let due = false;
  let top = 0;
  let rest = 0; // pixels that are free below the last row
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
      if (following) box.scrollTop = wholeRows();
    });
  };
  // How far to scroll so that the last rows are in view, as many as are whole then.
  const wholeRows = () => {
    const { scrollHeight, clientHeight } = box;
    const end = scrollHeight > clientHeight ? scrollHeight - rest : clientHeight;
    const above = box.getBoundingClientRect().top + box.clientTop - box.scrollTop;
    const room = clientHeight - (heads?.offsetHeight ?? 0);
    let from;
    for (let row = list.lastElementChild; row; row = row.previousElementSibling) {
      const top = row.getBoundingClientRect().top - above;
      if (end - top > room + 1) break;
      from = top;
    }
    const most = end - clientHeight;
    const top = most > 0 && from ? Math.ceil(from - clientHeight + room) : most;
    if (top - most !== rest) list.style.setProperty("--rest", `${(rest = top - most)}px`);
    return top;
  };
  const sizes = new ResizeObserver(() => {
    tallest = Math.max(tallest, box.clientHeight);
    list.style.setProperty("--room", `${box.clientHeight - (heads?.offsetHeight ?? 0)}px`);
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
