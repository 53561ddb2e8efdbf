// One table of many results of the check, `check --json`: sentence by server, or by client.
//   node table.mjs NAME=FILE …
import { readFileSync } from "node:fs";

const results = process.argv.slice(2).map((argument) => {
  const [name, file] = argument.split("=");
  const { sentences } = JSON.parse(readFileSync(file, "utf8"));
  return { name, found: new Map(sentences.map((sentence) => [sentence.number, sentence])) };
});

const sign = (sentence) => {
  if (!sentence) return "";
  if (sentence.holds === null) return "?";
  if (!sentence.holds) return "**no**";
  return sentence.why ? "yes, but" : "yes";
};

const texts = new Map(results.flatMap(({ found }) => [...found].map(([, it]) => [it.number, it.text])));
const order = (number) => number.replace(/^\D+/, "").split(".").map(Number);
const numbers = [...texts.keys()].sort((a, b) => {
  const [[levelA, a2], [levelB, b2]] = [order(a), order(b)];
  return levelA - levelB || a2 - b2;
});
const short = (text) => {
  const words = text.replaceAll("|", "\\|").split(" ");
  const kept = words.findIndex((_, index) => words.slice(0, index + 1).join(" ").length > 60);
  return kept < 0 ? text : `${words.slice(0, kept).join(" ")} …`;
};

const rows = [
  ["", "", ...results.map(({ name }) => name)],
  ["---", "---", ...results.map(() => ":-:")],
  ...numbers.map((number) => [
    number,
    short(texts.get(number)),
    ...results.map(({ found }) => sign(found.get(number))),
  ]),
];
console.log(rows.map((row) => `| ${row.join(" | ")} |`).join("\n"));
