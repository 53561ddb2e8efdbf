// The control of the lines. `scripts/all.sh` starts the servers behind lines, and says in this page's
// address where their control listens: ?line=PORT, or ?line=ADDRESS.

import { neighbour } from "../page/neighbour.js";

const query = new URLSearchParams(location.search);
// The comparison of another port is of another origin, but a cookie knows nothing of ports. Only the
// comparison itself is asked for with it: its path is the comparison's.
const kept = document.cookie.match(/(?:^|; )line=([^;]*)/)?.[1];
const keep = (value, seconds) => {
  document.cookie = `line=${value}; path=${new URL(".", location).pathname}; SameSite=Lax${seconds}`;
};

// What this page was told, or one that led here; undefined where nobody has said so.
export const line = query.get("line") ?? (kept && decodeURIComponent(kept));

// Where the control listens, ending in "/".
export const control = line ? neighbour(location.href, line) : undefined;

// What it answers; undefined where there are no lines, or none any more.
export async function askControl(path, options) {
  if (!control) return;
  const answer = await fetch(new URL(path, control), options).catch(() => undefined);
  if (answer?.ok) keep(encodeURIComponent(line), "");
  else keep("", "; max-age=0");
  return answer?.ok ? answer : undefined;
}
