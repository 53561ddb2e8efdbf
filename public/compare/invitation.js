// How others in the room find the servers: their address, large and as a QR code, for the projector.
// `scripts/all.sh` has the picture made, where other machines may take part and it can be made; the
// lines' control hands it over. Elsewhere there is no button.

import { askControl, control } from "./control.js";

export async function invitation() {
  const answer = await askControl("invitation");
  if (answer?.status !== 200) return;
  const address = await answer.text();
  const picture = new Image();
  picture.src = new URL("invitation.svg", control);
  picture.alt = `QR code of ${address}`;
  const text = document.querySelector("#invitation p");
  text.textContent = address;
  text.before(picture);
  document.querySelector("#invite").hidden = false;
}
