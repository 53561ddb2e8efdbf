// A client of polling, as everybody writes it first: SERVER=http://localhost:8001 node client.mjs
// What it loses is told in the walkthrough, and by scripts/check.sh --client.
const server = process.env.SERVER ?? "http://localhost:8001";
let last = 0;

async function poll() {
  try {
    const response = await fetch(`${server}/api/messages?after=${last}`);
    for (const update of await response.json()) {
      last = update.id;
      console.log(JSON.stringify(update));
    }
  } catch (error) {
    console.error(error.message);
  }
}

setInterval(poll, 3000);
