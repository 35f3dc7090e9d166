// The keyboard, all over the page, and the list of what it does.

import * as address from "./address.js";
import { el, iconButton, takesText } from "./dom.js";

const LIST = [
  [
    "Everywhere",
    [
      ["/", "search"],
      ["Esc", "close, let go of a word, back to the search"],
      ["?", "this list"],
    ],
  ],
  [
    "Results",
    [
      ["\u2190 \u2191 \u2192 \u2193", "from card to card"],
      ["Enter", "play the moment"],
      ["x", "select the moment, or not any more"],
      ["Tab", "to the words above, and \u201cmore like this\u201d"],
    ],
  ],
  [
    "Player",
    [
      ["Space", "play or pause"],
      ["\u2190 \u2192", "5 seconds back or on"],
      [", .", "a tenth of a second"],
      ["n p", "next, previous result"],
      ["i o", "start and end of the cut"],
      ["m f", "mute, full screen"],
    ],
  ],
];

/** The dialog with the list. */
export function makeHelp() {
  const node = el(
    "dialog",
    { class: "help", "aria-labelledby": "help-title" },
    el(
      "div",
      { class: "player-head" },
      el("h2", { id: "help-title" }, "Keyboard"),
      iconButton("close", "Close", () => node.close()),
    ),
    ...LIST.map(([title, rows]) =>
      el(
        "section",
        {},
        el("h3", {}, title),
        el(
          "dl",
          {},
          ...rows.map(([keys, words]) =>
            el(
              "div",
              {},
              el("dt", {}, ...keys.split(" ").map((key) => el("kbd", {}, key))),
              el("dd", {}, words),
            ),
          ),
        ),
      ),
    ),
  );
  node.addEventListener("click", (event) => {
    if (event.target === node) node.close();
  });
  return node;
}

/** Listen for the keys that work all over the page. */
export function listen({ top, results, help }) {
  document.addEventListener("keydown", (event) => {
    if (
      event.defaultPrevented ||
      event.ctrlKey ||
      event.metaKey ||
      event.altKey ||
      document.querySelector("dialog[open]")
    )
      return;
    const inText = takesText(event.target);
    if (event.key.startsWith("Arrow") && address.now().view === "search") {
      const fromQuery = event.target.id === "query" && event.key === "ArrowDown";
      const free = event.target === document.body || results.holds() || event.target.id === "main";
      if ((fromQuery || (free && !inText)) && results.walk(event.key)) event.preventDefault();
      else if (event.key === "ArrowUp" && results.holds()) {
        event.preventDefault();
        top.focus();
      }
    } else if (event.key === "/" && (!inText || (event.target.id === "query" && !event.target.value))) {
      // Also where the question is empty and has the focus already, as on arrival: none begins with a slash.
      event.preventDefault();
      top.focus();
    } else if (event.key === "x" && !inText && results.select()) {
      event.preventDefault();
    } else if (event.key === "?" && !inText) {
      event.preventDefault();
      help.showModal();
    } else if (event.key === "Escape" && !results.release() && results.holds()) {
      top.focus();
    }
  });
}
