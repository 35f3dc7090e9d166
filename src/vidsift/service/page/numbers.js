// All the numbers of an explanation, as tables: what met what, and what that gave to the score.

import { bdi, el } from "./dom.js";
import { fineClock, part, visible } from "./format.js";
import { warmth } from "./strip.js";

/**
 * A disclosure with a table for each term; it is built when it is first opened.
 *
 * @param account null where the model has none.
 * @param confidence of the hit; null where it is not known.
 */
export function allNumbers(account, confidence) {
  const details = el("details", { class: "numbers" }, el("summary", {}, "All the numbers"));
  if (confidence !== null) details.append(confidenceOf(confidence));
  if (account === null) return details;
  details.addEventListener(
    "toggle",
    () => {
      for (const group of account.groups) details.append(...group.terms.map((term) => tableOf(group, term)));
    },
    { once: true },
  );
  return details;
}

function confidenceOf(confidence) {
  return el(
    "p",
    { class: "note confidence" },
    `Confidence ${part(Math.floor(confidence * 1e4) / 1e4)}: the share of unrelated questions whose best answer in this library `,
    "scores less. It is no probability that this is right.",
  );
}

function columnsOf(term) {
  if (term.timed) return term.frames.map((frame) => ({ head: fineClock(frame.time), tokens: frame.tokens }));
  return term.values[0].map((_, token) => ({ head: `part ${token + 1}`, tokens: [token] }));
}

function tableOf(group, term) {
  const columns = columnsOf(term);
  const rows = group.words.map((word, place) => {
    const values = columns.map((column) =>
      Math.max(...column.tokens.map((token) => term.values[place][token])),
    );
    const gave = columns.map((column) =>
      column.tokens.reduce((sum, token) => sum + term.contributions[place][token], 0),
    );
    const warm = warmth(values);
    const cells = columns.map((_, at) => {
      const cell = el(
        "td",
        { class: "cell" },
        el("span", {}, part(values[at], 2)),
        el("small", {}, part(gave[at])),
      );
      cell.style.setProperty("--warm", warm[at].toFixed(3));
      return cell;
    });
    const total = gave.reduce((sum, value) => sum + value, 0);
    return el(
      "tr",
      {},
      el("th", { scope: "row" }, bdi(visible(word.text))),
      ...cells,
      el("td", { class: "total" }, part(total)),
    );
  });
  const table = el(
    "table",
    {},
    el("caption", {}, `${visible(term.name)}: similarity, and below it what it gave to the score`),
    el(
      "thead",
      {},
      el(
        "tr",
        {},
        el("th", { scope: "col" }, "Word"),
        ...columns.map((column) => el("th", { scope: "col" }, column.head)),
        el("th", { scope: "col" }, "Gave"),
      ),
    ),
    el("tbody", {}, ...rows),
  );
  return el(
    "div",
    { class: "table-scroll", tabindex: 0, role: "region", "aria-label": `Numbers of ${visible(term.name)}` },
    table,
  );
}
