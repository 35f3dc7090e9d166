// Questions to begin with, on the start page: what the library itself answers well.

import { bdi, el, icon } from "./dom.js";
import * as address from "./address.js";
import { visible } from "./format.js";
import { follow } from "./top.js";

const SHOWN = 6;

/** A question as a link that asks it. */
export function questionLink(queries) {
  const link = el("a", { href: address.href({ ...address.EMPTY, queries }), on: { click: follow } }, icon("search"));
  const words = visible(queries.join(" \u203a "));
  link.append(bdi(words, { title: words }));
  return link;
}

/**
 * Suggestions that come later, or never: the start page does not wait for them, and has room for them.
 *
 * @param answer promise of the service's answer.
 */
export function makeSuggestions(answer) {
  const list = el("ul", { class: "questions suggested" });
  const node = el("section", { "aria-labelledby": "suggested" }, el("h2", { id: "suggested" }, "In your library, for example"), list);
  const place = () => el("li", { "aria-hidden": "true" }, el("span", { class: "place" }));
  list.replaceChildren(...Array.from({ length: SHOWN }, place));
  answer.then(
    ({ data }) => {
      fill(data.slice(0, SHOWN));
    },
    () => {
      fill([]);
    },
  );

  /** Once it is seen its room stays as it was, so that nothing below it jumps. */
  function fill(queries) {
    const room = node.isConnected ? SHOWN - queries.length : 0;
    const empty = Array.from({ length: room }, () => el("li", { "aria-hidden": "true" }));
    list.replaceChildren(...queries.map((query) => el("li", {}, questionLink([query]))), ...empty);
    if (queries.length) return;
    if (room) node.classList.add("none");
    else node.hidden = true;
  }

  return node;
}
