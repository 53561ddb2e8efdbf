// What a message of this page's own takes of the wire: its way up, and what brought it back. Nothing
// else that crosses meanwhile is in it. Each thing that crosses is `{ requests, up, down }`, in bytes.

// The newest that went up with a message, and the newest that brought updates down.
export const newest = { up: undefined, down: undefined };

// Of several things together; undefined where nothing was counted.
export function sum(...things) {
  const counted = things.filter(Boolean);
  if (counted.length === 0) return undefined;
  const total = { requests: 0, up: 0, down: 0 };
  for (const thing of counted) {
    for (const what of Object.keys(total)) total[what] += thing[what];
  }
  return total;
}
