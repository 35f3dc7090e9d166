// Collections: moments that a person put together. The list of them, and one of them with what it holds.

import * as address from "./address.js";
import * as api from "./api.js";
import { lastFolder } from "./card.js";
import { bdi, el, icon, iconButton, say } from "./dom.js";
import { makeExport } from "./export.js";
import { select } from "./facets.js";
import { counted, day, fileName, fullPath, number, span, spoken, visible } from "./format.js";
import { makeNamedRow } from "./namedRow.js";
import { makeSelection } from "./selection.js";
import { action, message, trouble } from "./states.js";
import { follow } from "./top.js";
import { pictureLink } from "./tile.js";

/** The list of collections; `emptied()` is called with the last one gone. */
export function listOfCollections(collections, emptied = () => {}) {
  const list = el("ul", { class: "named-list" }, ...collections.map(row));

  function row(collection) {
    const state = { ...address.EMPTY, view: "saved", collection: collection.collection_id };
    const draw = (name) => {
      const link = el("a", { href: address.href(state), class: "named-link" }, icon("collection"), bdi(visible(name)));
      link.addEventListener("click", follow);
      return [link, el("span", { class: "note named-about" }, counted(collection.size, "moment"))];
    };
    return makeNamedRow({
      name: collection.name,
      what: "collection",
      draw,
      rename: (name) => api.renameCollection(collection.collection_id, name),
      remove: () => api.deleteCollection(collection.collection_id),
      removed: () => list.childElementCount === 1 && emptied(),
      warning: "The videos stay.",
    });
  }

  return list;
}

/** One collection: its moments in the order in which they were added, or the last first. */
export function makeCollection() {
  const node = el("div", { class: "collection" });
  let shown = null;
  const selection = makeSelection({ title: () => shown.name, tagged: () => {} });
  const exporter = makeExport({
    label: "Export",
    hits: () => inOrder(shown.moments.filter((moment) => moment.in_library)),
    title: () => shown.name,
  });

  async function show(state, signal) {
    if (shown?.collection_id !== state.collection) node.replaceChildren();
    try {
      shown = await api.collection(state.collection, signal);
      draw();
    } catch (error) {
      if (api.isAbort(error)) return;
      shown = null;
      node.replaceChildren(back(), error.status === 404 ? gone() : trouble(error, () => show(state, signal)));
    }
  }

  function draw() {
    selection.clear();
    const title = el("h1", { tabindex: -1 }, bdi(visible(shown.name)));
    const missing = shown.moments.filter((moment) => !moment.in_library).length;
    const about = [
      counted(shown.moments.length, "moment"),
      missing ? `${number(missing)} not in the library now` : "",
    ];
    const order = select(
      "Order",
      [["First added first", ""], ["Last added first", "date"]],
      address.now().sort === "date" ? "date" : "",
      (sort) => address.go({ ...address.now(), sort }, { replace: true }),
    );
    const playable = shown.moments.length > missing;
    exporter.show(playable);
    node.replaceChildren(
      back(),
      el("div", { class: "collection-head" }, title, shown.moments.length > 1 ? order : ""),
      el("p", { class: "note" }, about.filter(Boolean).join(" \u00b7 ")),
      shown.moments.length
        ? el("ol", { class: "cards" }, ...inOrder(shown.moments).map((moment, place) => card(moment, place + 1)))
        : message({
            title: "Nothing is in it yet",
            lines: ["\u201cAdd to a collection\u201d stands on every result, and in the player."],
          }),
      exporter.node,
      selection.node,
    );
  }

  function card(moment, rank) {
    const name = fileName(moment.path);
    const link = moment.in_library ? linkTo(moment, name) : absent(moment, name);
    const node = el(
      "li",
      { class: "card", data: { moment: moment.moment_id } },
      link,
      moment.in_library ? selection.boxOf({ ...moment, segment_id: moment.moment_id, rank }, name) : "",
      moment.note ? el("p", { class: "moment-note" }, bdi(visible(moment.note))) : "",
      el(
        "div",
        { class: "facts" },
        el("span", { class: "folder", title: fullPath(moment.path) }, bdi(lastFolder(moment.path))),
        el("span", { class: "length", title: "Added to the collection" }, day(moment.added)),
        iconButton("close", `Take out of the collection: ${name}, at ${spoken(moment.start)}`, () => takeOut(moment, node), {
          class: "quiet more",
        }),
      ),
    );
    return node;
  }

  function linkTo(moment, name) {
    const goal = {
      ...address.now(),
      video: moment.video_id,
      segment: "",
      at: moment.start.toFixed(2),
      until: moment.end.toFixed(2),
    };
    const label = `${name}, at ${spoken(moment.start)}. Play`;
    return pictureLink(goal, moment, { when: span(moment.start, moment.end), label }).link;
  }

  /** What stands for a moment whose video is not there. */
  function absent(moment, name) {
    return el(
      "div",
      { class: "absent" },
      el(
        "span",
        { class: "frame" },
        el("span", { class: "absent-words" }, "Not in the library now"),
        el("span", { class: "when" }, span(moment.start, moment.end)),
      ),
      el("span", { class: "title", title: fullPath(moment.path) }, bdi(name)),
    );
  }

  async function takeOut(moment, card) {
    try {
      await api.removeMoment(shown.collection_id, moment.moment_id);
    } catch (error) {
      card.append(el("p", { class: "wrong", role: "alert" }, error.detail || error.title));
      return;
    }
    say("Taken out");
    const beside = card.nextElementSibling ?? card.previousElementSibling;
    const next = beside?.dataset.moment;
    shown.moments = shown.moments.filter((other) => other !== moment);
    draw();
    const place = next ? node.querySelector(`[data-moment="${next}"]`) : null;
    (place?.querySelector(".more") ?? node.querySelector("h1")).focus();
  }

  return { node, show };
}

function inOrder(moments) {
  return address.now().sort === "date" ? moments.toReversed() : moments;
}

function back() {
  const link = el("a", { href: "/?view=saved", class: "collection-back" }, "All saved");
  link.addEventListener("click", follow);
  return el("p", { class: "note" }, link);
}

function gone() {
  return message({
    title: "There is no such collection",
    lines: ["It may have been deleted."],
    actions: [action("See what is saved", () => address.go({ ...address.EMPTY, view: "saved" }))],
  });
}
