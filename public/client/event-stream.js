// An event stream, read by fetch: what an EventSource does, for where one can't be used (a POST, a
// header of one's own). As the standard has it (WHATWG HTML §9.2.6), wherever the network cuts.

import { Refused } from "./connection.js";

// Yields each event of a response: its `type`, its `data` and its `lastEventId`. `stream` keeps what
// outlives a connection: `lastEventId`, and `retry`, the milliseconds that the server asks one to
// stay away. `heard` is called with each piece, also with those that bring a comment only.
export async function* events(response, stream, heard = () => {}) {
  const pieces = response.body.pipeThrough(new TextDecoderStream()).getReader(); // letters are whole
  let [text, data, type] = ["", [], ""];
  for (;;) {
    const { done, value } = await pieces.read();
    if (done) return; // half an event is none
    heard();
    const lines = (text + value).split(/\r\n|\n|\r(?!$)/); // a CR at the end: an LF may follow
    text = lines.pop(); // not a whole line yet
    for (const line of lines) {
      const [, field, content] = /^([^:]*)(?:: ?)?(.*)$/s.exec(line);
      if (field === "data") data.push(content);
      else if (field === "event") type = content;
      else if (field === "id" && !content.includes("\0")) stream.lastEventId = content;
      else if (field === "retry" && /^\d+$/.test(content)) stream.retry = Number(content);
      if (line !== "") continue;
      const { lastEventId } = stream;
      if (data.length > 0) yield { type: type || "message", data: data.join("\n"), lastEventId };
      [data, type] = [[], ""];
    }
  }
}

// Throws when an answer is no event stream.
export function isStream(response) {
  const type = response.headers.get("Content-Type") ?? "";
  if (response.status !== 200 || !type.startsWith("text/event-stream")) throw new Refused(response);
}
