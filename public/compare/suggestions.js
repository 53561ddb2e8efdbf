// Three things to do with the comparison, ticked off by doing them. They can be put away, and stay so.

const list = document.querySelector("#suggestions");
const away = document.querySelector("#put-away");
const back = document.querySelector("#try-it");

// `port`: where the server listens that is to be stopped.
export function suggestions(hasDistance, port) {
  item("distance").hidden = !hasDistance;
  if (port) item("stop").querySelector(".port").textContent = port;
  show(localStorage.suggestions !== "put away");
  away.addEventListener("click", () => {
    show(false);
    back.focus();
  });
  back.addEventListener("click", () => {
    show(true);
    away.focus();
  });
}

function show(shown) {
  list.hidden = !shown;
  back.hidden = shown;
  localStorage.suggestions = shown ? "there" : "put away";
}

// It was done.
export function tick(name) {
  const done = item(name);
  if (done.className === "done") return;
  done.className = "done";
  const said = document.createElement("span");
  said.className = "unseen";
  said.textContent = " (done)";
  done.append(said);
}

function item(name) {
  return list.querySelector(`[data-to-do=${name}]`);
}
