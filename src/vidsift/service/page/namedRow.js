// A row with a name that a person gave: opened, renamed, deleted.

import { el, say } from "./dom.js";
import { visible } from "./format.js";
import { action } from "./states.js";

export const LONGEST_NAME = 100;

/** A field for a name. */
export function nameField(label, value = "") {
  const node = el("input", {
    type: "text",
    class: "name-field",
    required: true,
    maxlength: LONGEST_NAME,
    autocomplete: "off",
    "aria-label": label,
  });
  node.value = value;
  return node;
}

/**
 * Build a row.
 *
 * @param name what it is called.
 * @param what it is, as in "search".
 * @param draw(name) the nodes that stand before the ways.
 * @param rename(name), remove() ask the service; remove is told of by `removed()`.
 * @param warning what is lost with it.
 */
export function makeNamedRow({ name, what, draw, rename, remove, removed = () => {}, warning = "" }) {
  const front = el("div", { class: "named-front" });
  const ways = el("div", { class: "named-ways" });
  const wrong = el("p", { class: "wrong", role: "alert" });
  const node = el("li", { class: "named" }, front, ways, wrong);
  let called = name;

  function calm(focus = "") {
    wrong.textContent = "";
    front.replaceChildren(...draw(called));
    const parts = {
      rename: action("Rename", renaming, { class: "text", "aria-label": `Rename ${visible(called)}` }),
      delete: action("Delete", sure, { class: "text", "aria-label": `Delete ${visible(called)}` }),
    };
    ways.replaceChildren(...Object.values(parts));
    parts[focus]?.focus();
  }

  function renaming() {
    const field = nameField(`New name of ${visible(called)}`, called);
    const form = el(
      "form",
      { class: "named-form", on: { submit: send } },
      field,
      el("button", { type: "submit", class: "plain" }, "Rename"),
      action("Cancel", () => calm("rename"), { class: "text" }),
    );
    form.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      event.stopPropagation();
      event.preventDefault();
      calm("rename");
    });
    front.replaceChildren(form);
    ways.replaceChildren();
    field.select();

    async function send(event) {
      event.preventDefault();
      const wanted = field.value.trim();
      if (!wanted) return field.focus();
      try {
        called = (await rename(wanted)).name;
        say(`Renamed to ${called}`);
        calm("rename");
      } catch (error) {
        wrong.textContent = error.detail || error.title;
        field.setAttribute("aria-invalid", "true");
        field.focus();
      }
    }
  }

  function sure() {
    const yes = action(`Delete this ${what}`, drop, { class: "text bad" });
    ways.replaceChildren(el("span", { class: "note" }, warning), yes, action("Keep", () => calm("delete"), { class: "text" }));
    yes.focus();
  }

  async function drop() {
    try {
      await remove();
      say(`Deleted ${called}`);
      removed();
      // The focus goes to what comes next, not to the top of the page.
      const next = node.nextElementSibling ?? node.previousElementSibling;
      (next?.querySelector("a, button") ?? node.closest("section")?.querySelector("h1, h2"))?.focus();
      node.remove();
    } catch (error) {
      calm("delete");
      wrong.textContent = error.detail || error.title;
    }
  }

  calm();
  return node;
}
