// The control of the lines. `scripts/all.sh` starts the servers behind lines, and says in this page's
// address where their control listens: ?line=PORT.

const asked = Number(new URLSearchParams(location.search).get("line") ?? sessionStorage.line);
const isPort = Number.isInteger(asked) && asked > 0 && asked < 65536;

// Where it listens; undefined where nobody has said so.
export const control = isPort ? `${location.protocol}//${location.hostname}:${asked}` : undefined;

// What it answers; undefined where there are no lines, or none any more.
export async function askControl(path, options) {
  if (!control) return;
  const answer = await fetch(control + path, options).catch(() => undefined);
  if (answer?.ok) sessionStorage.line = asked; // for when a link leads back here
  return answer?.ok ? answer : undefined;
}
