// How others in the room find the servers: their address, large and as a QR code, for the projector.
// `scripts/all.sh` has the picture made, where other machines may take part and it can be made; the
// lines' control hands it over. Elsewhere there is no button.

import { askControl, control } from "./control.js";

export async function invitation() {
  const answer = await askControl("/invitation");
  if (answer?.status !== 200) return;
  const address = await answer.text();
  const dialog = document.querySelector("#invitation");
  const picture = dialog.querySelector("img");
  picture.src = `${control}/invitation.svg`;
  picture.alt = `QR code of ${address}`;
  dialog.querySelector("p").textContent = address;
  const button = document.querySelector("#invite");
  button.addEventListener("click", () => dialog.showModal());
  button.hidden = false;
}
