// Several sentences in order: which of them is accounted for. Each has its own place in the video.

import { bdi, el } from "./dom.js";
import { span, visible } from "./format.js";

/** Build the choice; `choose(place)` is called when a person picks a sentence. */
export function makeParts({ choose }) {
  const node = el("fieldset", { class: "parts", hidden: true });

  function sentenceNode(sentence, part, place) {
    const input = el("input", {
      type: "radio",
      name: "part",
      value: place,
      on: { change: () => choose(place) },
    });
    input.checked = place === 0;
    const when = el("span", { class: "part-when" }, span(part.start, part.end));
    return el("label", {}, input, el("span", { class: "part-words" }, bdi(visible(sentence)), when));
  }

  return {
    node,
    show(sentences, parts) {
      const legend = el("legend", {}, "The sentences, in order");
      node.hidden = !parts.length;
      node.replaceChildren(legend, ...parts.map((part, place) => sentenceNode(sentences[place], part, place)));
    },
    clear() {
      node.hidden = true;
      node.replaceChildren();
    },
  };
}
