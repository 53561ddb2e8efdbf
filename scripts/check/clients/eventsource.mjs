// The package `eventsource` of npm, and the smallest program around it.
import { EventSource } from "eventsource";

const source = new EventSource(`${process.env.SERVER}/server-sent-events`);
const print = (value) => console.log(JSON.stringify(value));
const update = ({ type, data, lastEventId }) => {
  print({ id: Number(lastEventId), update: data, event: type === "message" ? undefined : type });
};
source.addEventListener("message", update);
source.addEventListener("greeting", update);
source.addEventListener("gap", () => print({ gap: true }));
source.addEventListener("error", ({ message }) => console.error(message));
