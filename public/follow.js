// Keeps the newest at the bottom in view, unless the reader has scrolled up to read.

export function follow(box, list) {
  let following = true;
  const toEnd = () => {
    if (following) box.scrollTop = box.scrollHeight;
  };
  box.addEventListener("scroll", () => {
    following = box.scrollHeight - box.scrollTop - box.clientHeight < 48;
  });
  new MutationObserver(toEnd).observe(list, { childList: true });
  const sizes = new ResizeObserver(toEnd);
  sizes.observe(list);
  sizes.observe(box);
}
