// Server-sent events with nginx and nchan. As nchan has it, the application takes the POST and gives
// the update its id (this program); nchan holds the clients.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { json } from "node:stream/consumers";

const { PORT = 8003, NGINX = "/usr/sbin/nginx", NCHAN = "/usr/lib/nginx/modules/ngx_nchan_module.so" } =
  process.env;
const folder = mkdtempSync(`${tmpdir()}/nchan-`);
let id = 0;

const application = createServer(async (request, response) => {
  const { update } = await json(request);
  await fetch(`http://127.0.0.1:${PORT}/publish`, { method: "POST", body: update });
  response.writeHead(201, { "Content-Type": "application/json" });
  response.end(JSON.stringify({ id: ++id, update }));
});

application.listen(0, "127.0.0.1", () => {
  const folders = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
  writeFileSync(`${folder}/nginx.conf`, `
    load_module ${NCHAN};
    daemon off;
    pid nginx.pid;
    error_log stderr crit;
    events { worker_connections 20000; }
    http {
      access_log off;
      ${folders.map((name) => `${name}_temp_path ${name};`).join(" ")}
      server {
        listen 127.0.0.1:${PORT};
        location = /api/messages {
          proxy_pass http://127.0.0.1:${application.address().port};
        }
        location = /publish {
          allow 127.0.0.1;
          deny all;
          nchan_publisher;
          nchan_channel_id feed;
        }
        location ~ ^/(events|server-sent-events)$ {
          nchan_subscriber eventsource;
          nchan_channel_id feed;
          nchan_subscriber_first_message newest;
        }
      }
    }`);
  const nginx = spawn(NGINX, ["-e", "stderr", "-p", folder, "-c", "nginx.conf"], { stdio: "inherit" });
  nginx.on("exit", (code) => {
    rmSync(folder, { recursive: true });
    process.exit(code);
  });
  for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => nginx.kill(signal));
  const look = () => fetch(`http://127.0.0.1:${PORT}/`).then(
    () => console.log(`Listening at http://localhost:${PORT}`),
    () => setTimeout(look, 20),
  );
  look();
});
