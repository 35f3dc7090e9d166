// What people saved: searches and collections, for a view of their own and for the start page.

import * as address from "./address.js";
import * as api from "./api.js";
import { el } from "./dom.js";
import { listOfCollections, makeCollection } from "./collections.js";
import { number } from "./format.js";
import { nameField } from "./namedRow.js";
import { listOfSearches } from "./savedSearches.js";
import { trouble } from "./states.js";
import { follow } from "./top.js";

/** So many of each kind stand on the start page, the newest. */
const AT_START = 5;

/** Build the view. */
export function makeSavedView() {
  const collection = makeCollection();
  const node = el("div", { class: "saved" });
  let running = null;

  async function run(state) {
    running?.abort();
    running = new AbortController();
    if (state.collection) {
      node.replaceChildren(collection.node);
      await collection.show(state, running.signal);
      return;
    }
    const title = el("h1", {}, "Saved");
    if (!node.querySelector(":scope > section")) node.replaceChildren(title);
    try {
      const [searches, collections] = await all(running.signal);
      node.replaceChildren(title, searchesPart(searches), collectionsPart(collections));
    } catch (error) {
      if (!api.isAbort(error)) node.replaceChildren(title, trouble(error, () => run(state)));
    }
  }

  return { node, run, stop: () => running?.abort() };
}

/** What is saved, for the start page; nothing where nobody has saved anything. */
export async function savedAtStart(signal) {
  try {
    const [searches, collections] = await all(signal);
    return [
      searches.length ? section("Saved searches", listOfSearches(searches.slice(0, AT_START)), rest(searches)) : "",
      collections.length
        ? section("Collections", listOfCollections(collections.slice(0, AT_START)), rest(collections))
        : "",
    ];
  } catch (error) {
    if (api.isAbort(error)) throw error;
    // The rest of the start page is there all the same.
    return [trouble(error, null, "What is saved cannot be shown")];
  }
}

/** The way to those that are not shown at the start. */
function rest(entries) {
  if (entries.length <= AT_START) return "";
  return el("p", { class: "saved-rest" }, el("a", { href: "/?view=saved", on: { click: follow } }, `All ${number(entries.length)}`));
}

async function all(signal) {
  const answers = await Promise.all([api.savedSearches(signal), api.collections(signal)]);
  return answers.map((answer) => answer.data);
}

function section(title, ...content) {
  return el("section", {}, el("h2", { tabindex: -1 }, title), ...content);
}

function searchesPart(searches) {
  const hint = el("p", { class: "note" }, "None yet: \u201cSave this search\u201d stands above the results.");
  hint.hidden = searches.length > 0;
  return section("Saved searches", listOfSearches(searches, () => (hint.hidden = false)), hint);
}

function collectionsPart(collections) {
  const hint = el("p", { class: "note" }, "None yet: \u201cAdd to a collection\u201d stands on every result.");
  hint.hidden = collections.length > 0;
  return section("Collections", listOfCollections(collections, () => (hint.hidden = false)), hint, makeNew());
}

function makeNew() {
  const name = nameField("Name of a new collection");
  name.placeholder = "New collection";
  const wrong = el("p", { class: "wrong", role: "alert" });
  const node = el(
    "form",
    { class: "named-form", on: { submit: make } },
    name,
    el("button", { type: "submit", class: "plain" }, "Make"),
  );

  async function make(event) {
    event.preventDefault();
    const wanted = name.value.trim();
    if (!wanted) return name.focus();
    try {
      const made = await api.createCollection(wanted);
      address.go({ ...address.EMPTY, view: "saved", collection: made.collection_id });
    } catch (error) {
      wrong.textContent = error.detail || error.title;
      name.focus();
    }
  }

  return el("div", { class: "new-collection" }, node, wrong);
}
