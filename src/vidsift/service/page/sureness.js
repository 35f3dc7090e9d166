// How good a match a hit is, in a word.

import { el } from "./dom.js";
import { capital, part } from "./format.js";

const MATCH_CLASS = { "good match": "good", "possible match": "possible", unlikely: "unlikely" };

/** How good a match it is; where that is not known, the score. */
export function sureness(hit) {
  if (hit.match) return el("span", { class: `match ${MATCH_CLASS[hit.match]}` }, capital(hit.match));
  const title = "Score; how good a match is cannot be told of this question or library";
  return el("span", { class: "match", title }, part(hit.score, 3));
}
