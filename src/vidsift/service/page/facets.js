// What a row of filters is made of: choices, fields, and what takes each of them back.

import { bdi, el, icon } from "./dom.js";
import { visible } from "./format.js";

/**
 * A part of the row that is drawn anew when what it shows has changed, and only then: who types in another part
 * is not disturbed. The focus stays in it.
 *
 * @param key what the drawing depends on, of a state.
 * @param isSet whether it takes something away, of a state.
 * @param draw its nodes, of a state.
 */
export function slot(name, { key, draw, isSet = () => false }) {
  const node = el("span", { class: "facet", data: { facet: name } });
  let drawn = null;
  return {
    node,
    show(state) {
      node.classList.toggle("set", Boolean(isSet(state)));
      const wanted = JSON.stringify(key(state));
      if (wanted === drawn) return;
      drawn = wanted;
      const inside = node.contains(document.activeElement);
      const label = document.activeElement?.getAttribute("aria-label") ?? "";
      node.replaceChildren(...[draw(state)].flat());
      if (!inside) return;
      const same = node.querySelector(`[aria-label="${CSS.escape(label)}"]`);
      (same ?? node.querySelector("input:checked") ?? node.querySelector("select, input"))?.focus();
    },
  };
}

/** One of several; the first option is that nothing is chosen. What is chosen can be taken back beside it. */
export function select(label, options, value, change) {
  const node = el("select", { "aria-label": label, on: { change: () => change(node.value) } });
  const known = options.some(([, option]) => option === value) ? options : [...options, [value, value]];
  node.append(...known.map(([words, option]) => el("option", { value: option, dir: "auto" }, visible(words))));
  node.value = value;
  const chosen = known.find(([, option]) => option === value)[0];
  return el(
    "span",
    { class: value ? "choice set" : "choice" },
    node,
    value ? leaveOut(`${label} ${visible(chosen)}`, () => change("")) : icon("next"),
  );
}

/** The button that takes a filter back. */
export function leaveOut(label, click) {
  return el(
    "button",
    { type: "button", class: "off", "aria-label": `${label}: leave it out`, title: "Leave this out", on: { click } },
    icon("close"),
  );
}

/** A filter in words that is taken back by a click on it. */
export function picked(words, label, title, click) {
  return el(
    "button",
    { type: "button", class: "picked", "aria-label": `${label}: leave it out`, title, on: { click } },
    bdi(words),
    icon("close"),
  );
}

/**
 * A field that tells what was typed once it is whole and makes sense; `show(value)` writes what the address says,
 * where that is something new.
 */
export function field(label, props, change) {
  const node = el("input", { type: "text", autocomplete: "off", ...props, "aria-label": label });
  let last = "";
  node.addEventListener("change", () => {
    // A year of which two digits are typed is a year too, though nobody means it.
    if (!node.validity.valid || node.value === last) return;
    last = node.value;
    change(node.value);
  });
  return {
    node,
    show(value) {
      if (value !== last) node.value = value;
      last = value;
    },
  };
}

/** A slot whose fields follow the address without being drawn anew, so that nobody's typing is lost. */
export function together(part, follow) {
  return {
    node: part.node,
    show(state) {
      part.show(state);
      follow(state);
    },
  };
}

/** Only files with a text in their name; `set({file})` goes there. */
export function makeNameFacet(set) {
  const name = field("File name", { placeholder: "File name", maxlength: 255 }, (text) => set({ file: text.trim() }));
  const part = slot("file", {
    key: (state) => state.file,
    isSet: (state) => state.file,
    draw: (state) =>
      el(
        "span",
        { class: state.file ? "limit set" : "limit", title: "Only files with this in their name" },
        name.node,
        state.file ? leaveOut(`File name ${visible(state.file)}`, () => set({ file: "" })) : "",
      ),
  });
  return together(part, (state) => name.show(state.file));
}
