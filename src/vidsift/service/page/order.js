// In which order hits stand, and which of them are likely.

import { fileName } from "./format.js";

const names = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });

const COMPARE = {
  date: (a, b) => Date.parse(b.modified ?? 0) - Date.parse(a.modified ?? 0),
  name: (a, b) => names.compare(fileName(a.path), fileName(b.path)) || names.compare(a.path, b.path),
};

/** Cards, the best first, in the order that was asked for; equal ones stay as they are. */
export function sorted(cards, order) {
  const compare = COMPARE[order];
  return compare ? cards.toSorted((a, b) => compare(a.hit, b.hit)) : cards;
}

/**
 * How many hits are likely: all up to the last good match, without any up to the last possible one; none where
 * nothing fits, and all where that is not known, or what fits is not among these.
 */
export function likelyOf(hits, fits) {
  const matches = hits.map((hit) => hit.match);
  for (const word of ["good match", "possible match"]) {
    if (matches.includes(word)) return matches.lastIndexOf(word) + 1;
  }
  return fits === false ? 0 : hits.length;
}
