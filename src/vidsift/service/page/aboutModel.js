// What the library's model knows, by its card: said where somebody begins, and where nothing fits.

import { el } from "./dom.js";
import { visible } from "./format.js";

let known = "";

/** Take it from what the service says of the library; what is shown already is filled in. */
export function learnAboutModel(overview) {
  known = overview.model_knows ? `About the model: ${visible(overview.model_knows)}` : "";
  for (const node of document.querySelectorAll(".about-model")) node.textContent = known;
}

/** A line about the model, empty where its card says nothing. */
export function aboutModel() {
  return el("p", { class: "note about-model" }, known);
}
