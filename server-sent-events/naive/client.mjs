// A client of server-sent events by fetch, as everybody writes it first:
// SERVER=http://localhost:8003 node client.mjs
// What it loses is told in the walkthrough, and by scripts/check.sh --client.
const server = process.env.SERVER ?? "http://localhost:8003";

async function listen() {
  const response = await fetch(`${server}/server-sent-events`);
  const decoder = new TextDecoder();
  for await (const chunk of response.body) {
    for (const line of decoder.decode(chunk).split("\n")) {
      if (line.startsWith("data: ")) console.log(JSON.stringify({ update: line.slice(6) }));
    }
  }
}

for (;;) await listen().catch((error) => console.error(error.message));
