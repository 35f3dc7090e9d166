// Adding moments to a collection: which one, or a new one.

import * as api from "./api.js";
import { bdi, el, icon, iconButton, say } from "./dom.js";
import { counted, fileName, span, visible } from "./format.js";
import { nameField } from "./namedRow.js";

/** So many the service takes at once. */
const AT_ONCE = 100;

let dialog = null;

/** Ask where to; each of `moments` is {video_id, path, start, end}. */
export function collect(moments) {
  dialog ??= makeDialog();
  dialog.ask(moments);
}

function makeDialog() {
  const what = el("p", { class: "note" });
  const list = el("ul", { class: "collect-list" });
  const name = nameField("Name of a new collection");
  name.placeholder = "New collection";
  const wrong = el("p", { class: "wrong", role: "alert" });
  const form = el(
    "form",
    { class: "named-form", on: { submit: addToNew } },
    name,
    el("button", { type: "submit", class: "plain" }, "Make and add"),
  );
  const node = el(
    "dialog",
    { class: "collect", "aria-labelledby": "collect-title" },
    el(
      "div",
      { class: "player-head" },
      el("h2", { id: "collect-title" }, "Add to a collection"),
      iconButton("close", "Close", () => node.close()),
    ),
    el("div", { class: "collect-body" }, what, list, form, wrong),
  );
  node.addEventListener("click", (event) => {
    if (event.target === node) node.close();
  });
  // Below this dialog the player listens for the same keys.
  node.addEventListener("keydown", (event) => event.stopPropagation());
  document.body.append(node);
  let asked = [];

  async function ask(moments) {
    asked = moments;
    wrong.textContent = "";
    name.value = "";
    const [first] = moments;
    if (moments.length > 1) what.replaceChildren(counted(moments.length, "moment"));
    else what.replaceChildren(bdi(fileName(first.path)), ` \u00b7 ${span(first.start, first.end)}`);
    list.replaceChildren();
    node.showModal();
    name.focus();
    try {
      const { data } = await api.collections();
      if (asked !== moments) return;
      list.replaceChildren(...data.map((collection) => el("li", {}, choice(collection))));
      list.querySelector("button")?.focus();
    } catch (error) {
      wrong.textContent = error.detail || error.title;
    }
  }

  function choice(collection) {
    const size = el("span", { class: "note" }, counted(collection.size, "moment"));
    const button = el(
      "button",
      { type: "button", class: "collect-choice", on: { click: () => add(collection, button, size) } },
      icon("collection"),
      bdi(visible(collection.name)),
      size,
    );
    return button;
  }

  async function add(collection, button, size) {
    wrong.textContent = "";
    try {
      const moments = asked.map(({ video_id, start, end }) => ({ video_id, start, end }));
      const before = collection.size;
      for (let first = 0; first < moments.length; first += AT_ONCE) {
        const after = await api.addMoments(collection.collection_id, moments.slice(first, first + AT_ONCE));
        collection.size = after.size;
      }
      const added = collection.size - before;
      const many = moments.length > 1;
      size.textContent = added ? (many ? `${added} added` : "added") : `holds ${many ? "them" : "it"} already`;
      button.classList.add("done");
      say(`${collection.name}: ${size.textContent}`);
    } catch (error) {
      wrong.textContent = error.detail || error.title;
    }
  }

  async function addToNew(event) {
    event.preventDefault();
    const wanted = name.value.trim();
    if (!wanted) return name.focus();
    wrong.textContent = "";
    try {
      const made = await api.createCollection(wanted);
      const button = choice(made);
      list.prepend(el("li", {}, button));
      name.value = "";
      await add(made, button, button.querySelector(".note"));
      button.focus();
    } catch (error) {
      wrong.textContent = error.detail || error.title;
      name.focus();
    }
  }

  return { ask };
}
