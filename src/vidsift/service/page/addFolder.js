// Adding a folder: typed, pasted, or chosen among the folders of the machine.

import * as api from "./api.js";
import { bdi, el, icon, say } from "./dom.js";
import { counted, fileName, fullPath, visible } from "./format.js";
import { action } from "./states.js";

/** A form that asks for a folder; `started(job)` is called with the work that it began. */
export function makeAddFolder({ started }) {
  const wrong = el("p", { class: "wrong", id: `wrong-${(forms += 1)}` });
  const input = el("input", {
    type: "text",
    name: "folder",
    "aria-label": "Full path of a folder with videos",
    "aria-describedby": wrong.id,
    placeholder: "/home/me/Videos",
    autocomplete: "off",
    spellcheck: "false",
    dir: "auto",
    on: { input: () => complain("") },
  });
  const send = el("button", { type: "submit", class: "primary wide" }, "Add folder");
  const opener = action("Choose \u2026", () => toggle(), { "aria-expanded": "false" });
  const chooser = el("section", { class: "chooser", "aria-label": "Folders of this computer", hidden: true });
  const form = el("form", { class: "add-folder", novalidate: true, on: { submit: add } }, input, opener, send);
  const node = el("div", { class: "adding" }, form, wrong, chooser);
  let looking = null;

  function complain(words) {
    wrong.textContent = words;
    input.setAttribute("aria-invalid", String(Boolean(words)));
    if (words) say(words);
  }

  /** Add what is named; what was refused stays to be mended. */
  async function add(event) {
    event.preventDefault();
    const path = input.value.trim();
    if (!path) {
      complain("Name a folder, or choose one.");
      input.focus();
      return;
    }
    send.disabled = true;
    try {
      started(await api.startJob("add", [path]));
      complain("");
      input.value = "";
      toggle(false);
      say(`Adding ${visible(path)}`);
    } catch (error) {
      complain(visible(error.detail || error.title));
      input.focus();
    } finally {
      send.disabled = false;
    }
  }

  function toggle(open = chooser.hidden) {
    if (open === !chooser.hidden) return;
    chooser.hidden = !open;
    opener.setAttribute("aria-expanded", String(open));
    if (open) look(input.value.trim());
    else looking?.abort();
  }

  /** Show what is in a folder; where it cannot be shown, the one shown before stays. */
  async function look(path) {
    looking?.abort();
    looking = new AbortController();
    chooser.setAttribute("aria-busy", "true");
    try {
      draw(await api.folders(path, looking.signal));
      complain("");
    } catch (error) {
      if (api.isAbort(error)) return;
      complain(visible(error.detail || error.title));
      // What was typed is no folder: begin where people begin.
      if (!chooser.firstChild && path) await look("");
    } finally {
      chooser.removeAttribute("aria-busy");
    }
  }

  function draw(listed) {
    const here = document.activeElement;
    const inside = chooser.contains(here);
    input.value = fullPath(listed.path);
    const go = (path, name, picture = "folder") =>
      el("button", { type: "button", class: "folder", on: { click: () => look(path) } }, icon(picture), bdi(name));
    const places = listed.places
      .filter((place) => place !== listed.path)
      .map((place) =>
        el("li", {}, action(visible(fileName(place) || place), () => look(place), { class: "text", title: fullPath(place) })),
      );
    chooser.replaceChildren(
      el("ul", { class: "places", "aria-label": "Where to begin" }, ...places),
      el("h3", {}, bdi(fullPath(listed.path))),
      el(
        "ul",
        { class: "chooser-list" },
        listed.parent ? el("li", {}, go(listed.parent, "The folder above", "previous")) : "",
        ...listed.folders.map((path) => el("li", {}, go(path, visible(fileName(path))))),
      ),
      listed.folders.length ? "" : el("p", { class: "note" }, "No folder in it. Add it if its videos are here."),
      listed.more ? el("p", { class: "note" }, `and ${counted(listed.more, "more folder")}; type the path of one`) : "",
    );
    say(`${visible(listed.path)}: ${counted(listed.folders.length, "folder")}`);
    // The button that was pressed is gone; who works by keyboard goes on at the list.
    if (inside) (chooser.querySelector(".chooser-list button") ?? chooser.querySelector("button"))?.focus();
  }

  return {
    node,
    /** What the library says: whether the service shows the folders of its machine. */
    about(overview) {
      opener.hidden = !overview?.folder_chooser;
      if (opener.hidden) toggle(false);
    },
  };
}

let forms = 0;
