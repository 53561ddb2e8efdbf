// A client of long polling, as everybody writes it first: SERVER=http://localhost:8002 node client.mjs
// What it loses is told in the walkthrough, and by scripts/check.sh --client.
const server = process.env.SERVER ?? "http://localhost:8002";

async function poll() {
  try {
    const response = await fetch(`${server}/api/messages/long-poll`);
    const updates = await response.json();
    for (const update of updates) console.log(JSON.stringify({ update: update.update }));
  } catch (error) {
    console.error(error.message);
  }
  poll(); // at once: the server holds the next one
}

poll();
