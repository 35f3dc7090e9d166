// The sentence's words as chips. Pointing at one asks where it matched; a frame warms those it showed.

import { bdi, el, onPointing } from "./dom.js";
import { visible } from "./format.js";
import { warmth } from "./strip.js";

/**
 * A row of chips above the results.
 *
 * `point(word or null)` is called with {group, place} while a word is pointed at, focused or held.
 */
export function makeWords({ point }) {
  const node = el("div", {
    class: "words",
    role: "group",
    "aria-label": "Words of the question: point at one to see where it matched",
  });
  let held = null;
  let chips = [];

  function chip(word, group) {
    const button = el(
      "button",
      {
        type: "button",
        class: "chip",
        "aria-pressed": "false",
        data: { group, place: word.place },
      },
      bdi(visible(word.text)),
    );
    const target = { group, place: word.place };
    onPointing(
      button,
      () => point(target),
      () => point(held?.target ?? null),
    );
    button.addEventListener("click", () => hold(held?.button === button ? null : { button, target }));
    return { button, group, place: word.place };
  }

  function hold(next) {
    held?.button.setAttribute("aria-pressed", "false");
    held = next;
    held?.button.setAttribute("aria-pressed", "true");
    point(held?.target ?? null);
  }

  return {
    node,
    /** Keep room for the words of a sentence until their account is there; null keeps none. */
    expect(sentence) {
      held = null;
      chips = [];
      const expected = sentence?.split(/[^\p{L}\p{M}\p{N}'\u2019-]+/u).filter(Boolean) ?? [];
      const ghost = (text) => el("span", { class: "chip ghost", "aria-hidden": "true" }, bdi(visible(text)));
      node.replaceChildren(...expected.map(ghost));
    },
    /** Whether the words are those of an account. */
    ready: () => chips.length > 0,
    /** Show the words of an account. */
    show(account) {
      held = null;
      chips = account.groups.flatMap((group, at) =>
        ["words", "falls"].includes(group.kind) ? group.words.map((word) => chip(word, at)) : [],
      );
      node.replaceChildren(...chips.map((chip) => chip.button));
    },
    /** Warm the chips by what a frame showed; null cools them. `seen` is {group: frameOverWords(...)}. */
    heat(seen) {
      for (const { button, group, place } of chips) {
        const frame = seen?.get(group);
        button.classList.toggle("best", Boolean(frame) && frame.best === place);
        button.style.setProperty("--warm", frame ? warmth(frame.values)[place].toFixed(3) : "0");
      }
    },
    /** Let go of a held word; tells whether there was one. */
    release() {
      const was = held !== null;
      if (was) hold(null);
      return was;
    },
  };
}
