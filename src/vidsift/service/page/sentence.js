// A sentence as it was written, with a bar over each word: what the word did for the match.

import { bdi, el, onPointing } from "./dom.js";
import { visible } from "./format.js";

const STRENGTHS = [
  [0.66, "much"],
  [0.33, "some"],
  [0.1, "a little"],
  [0, "next to nothing"],
];

/**
 * The words of a group of an account, with the marks between them.
 *
 * @param named whether the sentence, in a sum of several, is said above its words.
 * @param onWord `onWord(place)` gives {target, enter, leave, click}: what pointing at a word does.
 * @returns {{node, words}} `words` of {button, target, gave}.
 */
export function makeSentence(group, { named, onWord }) {
  const most = Math.max(...group.words.map((word) => Math.abs(word.gave ?? 0)), 1e-12);
  const words = group.words.map((word) => makeWord(word, onWord(word.place), most));
  const pieces = [];
  // The service counts characters; a string's places are of halves of some of them.
  const letters = [...group.sentence];
  let from = 0;
  for (const [place, word] of group.words.entries()) {
    // Phrases stand in no sentence.
    if (word.start !== undefined) pieces.push(marks(letters.slice(from, word.start)));
    pieces.push(words[place].button);
    from = word.end;
  }
  if (from !== undefined && group.words.length) pieces.push(marks(letters.slice(from)));
  const sign = group.taken ? "\u2212 " : "+ ";
  const sentence = named ? [sign, bdi(visible(group.sentence))] : [];
  const head = group.kind === "parts" ? ["What was compared, and what it added", ...(named ? [": "] : [])] : [];
  const line = el("div", { class: "sentence", role: "group", "aria-label": "Words of the question" }, ...pieces);
  const heading = head.length || named ? el("p", { class: "part" }, ...head, ...sentence) : "";
  return { node: el("div", { class: "word-bars", data: { kind: group.kind } }, heading, line), words };
}

function marks(between) {
  const text = between.join("").trim();
  return text ? el("span", { class: "marks" }, bdi(visible(text))) : "";
}

function makeWord(word, { target, enter, leave, click }, most) {
  const share = (word.gave ?? 0) / most;
  const bar = el("span", { class: share < 0 ? "word-bar less" : "word-bar", "aria-hidden": "true" });
  bar.style.setProperty("--share", Math.abs(share).toFixed(3));
  const button = el(
    "button",
    {
      type: "button",
      class: "chip word",
      "aria-pressed": "false",
      title: "Where this word matched",
      data: { group: target.group, place: target.place, value: word.gave ?? "" },
    },
    bar,
    bdi(visible(word.text)),
    el("span", { class: "hidden" }, `: ${strengthOf(word.gave, share)}`),
  );
  onPointing(button, enter, leave);
  button.addEventListener("click", click);
  return { button, target, gave: word.gave };
}

/** What the bar shows, for those who do not see it. */
function strengthOf(gave, share) {
  if (gave === null) return "without it nothing is left to compare";
  const [, said] = STRENGTHS.find(([least]) => Math.abs(share) >= least);
  return share < 0 && said !== STRENGTHS.at(-1)[1] ? `${said}, against it` : said;
}
