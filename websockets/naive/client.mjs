// A client of WebSockets, as everybody writes it first:
// SERVER=http://localhost:8004 node --experimental-websocket client.mjs (Node 22: without the option)
// What it loses is told in the walkthrough, and by scripts/check.sh --client.
const server = process.env.SERVER ?? "http://localhost:8004";

function connect() {
  const socket = new WebSocket(`${server.replace("http", "ws")}/websocket`);
  socket.onmessage = ({ data }) => console.log(JSON.stringify({ update: data }));
  let isLost = false;
  const again = () => {
    if (!isLost) setTimeout(connect, 3000);
    isLost = true;
  };
  socket.onclose = again;
  socket.onerror = again; // Node 20 says no more than this, where nobody answers
}

connect();
