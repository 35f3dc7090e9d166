// What is less likely, folded away until somebody opens it.

import { el } from "./dom.js";
import { number } from "./format.js";

/** The fold: cards stand in `list`, what follows them in `below`; `count()` says how many there are. */
export function makeFold() {
  const shown = el("span", { class: "fold-count" });
  const list = el("ol", { class: "cards weak" });
  const below = el("div", { class: "below" });
  const summary = el("summary", {}, "Less likely ", shown);
  const node = el("details", { class: "fold", hidden: "" }, summary, list, below);
  return {
    node,
    summary,
    list,
    below,
    /** How many cards are in it. */
    holds: () => list.childElementCount,
    count() {
      shown.textContent = number(list.childElementCount);
      node.hidden = !list.childElementCount;
    },
    clear() {
      list.replaceChildren();
      below.replaceChildren();
      node.hidden = true;
      node.open = false;
    },
    open() {
      node.open = true;
    },
  };
}
