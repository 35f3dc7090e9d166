// Searches under a name: saving the one that is shown, and the list of those that are saved.

import * as address from "./address.js";
import * as api from "./api.js";
import { bdi, el, icon, say } from "./dom.js";
import { visible } from "./format.js";
import { makeNamedRow, nameField } from "./namedRow.js";
import { savedOf, stateOf } from "./savedQuestion.js";
import { action } from "./states.js";
import { follow } from "./top.js";

/** Build what saves the question that is shown; `show(state)` follows the address. */
export function makeSaveSearch() {
  const opener = el(
    "button",
    { type: "button", class: "text", "aria-expanded": "false", on: { click: () => open() } },
    "Save this search",
  );
  const name = nameField("Name of the search");
  const message = el("p", { class: "note", role: "status" });
  const send = el("button", { type: "submit", class: "plain" }, "Save");
  const form = el(
    "form",
    { class: "named-form", hidden: true, on: { submit: save } },
    name,
    send,
    action("Cancel", () => close(), { class: "text" }),
  );
  const node = el("div", { class: "save-search", hidden: true }, opener, form, message);
  let shown = "";

  form.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    event.stopPropagation();
    event.preventDefault();
    close();
  });

  function open() {
    message.textContent = "";
    form.hidden = false;
    opener.hidden = true;
    opener.setAttribute("aria-expanded", "true");
    name.removeAttribute("aria-invalid");
    name.value = address.now().queries.join(" \u203a ").slice(0, name.maxLength);
    name.select();
  }

  function close({ focus = true } = {}) {
    form.hidden = true;
    opener.hidden = false;
    opener.setAttribute("aria-expanded", "false");
    if (focus) opener.focus();
  }

  async function save(event) {
    event.preventDefault();
    const wanted = name.value.trim();
    if (!wanted) return name.focus();
    send.disabled = true;
    try {
      const saved = await api.saveSearch(wanted, savedOf(address.now()));
      close();
      message.replaceChildren("Saved as ", bdi(visible(saved.name)));
      say(`Saved as ${saved.name}`);
    } catch (error) {
      message.textContent = error.detail || error.title;
      name.setAttribute("aria-invalid", "true");
      name.focus();
    } finally {
      send.disabled = false;
    }
  }

  return {
    node,
    show(state) {
      const asked = JSON.stringify(address.question(state));
      if (asked === shown) return;
      shown = asked;
      // A picture is forgotten after a while, so only words can be asked again.
      node.hidden = !state.queries.length;
      message.textContent = "";
      if (!form.hidden) close({ focus: false });
    },
  };
}

/** The list of saved searches; nothing where there are none. `emptied()` is called with the last one gone. */
export function listOfSearches(searches, emptied = () => {}) {
  const list = el("ul", { class: "named-list" }, ...searches.map(row));

  function row(search) {
    const draw = (name) => {
      const link = el("a", { href: address.href(stateOf(search.question)), class: "named-link" }, icon("search"), bdi(visible(name)));
      link.addEventListener("click", follow);
      const words = [search.question.query].flat().join(" \u203a ");
      return [link, words === name ? "" : el("span", { class: "note named-about" }, bdi(visible(words)))];
    };
    return makeNamedRow({
      name: search.name,
      what: "search",
      draw,
      rename: (name) => api.renameSavedSearch(search.search_id, name),
      remove: () => api.deleteSavedSearch(search.search_id),
      removed: () => list.childElementCount === 1 && emptied(),
    });
  }

  return list;
}
