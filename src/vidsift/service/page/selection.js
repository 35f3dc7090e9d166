// Several moments at once: which are selected, and what can be done with them.

import * as api from "./api.js";
import { collect } from "./collect.js";
import { save } from "./cut.js";
import { el, say } from "./dom.js";
import { makeExport } from "./export.js";
import { counted } from "./format.js";
import { action } from "./states.js";

/**
 * Build the bar below the cards; it is there while something is selected. `title()` is what was asked, `tagged()`
 * is called when videos have got another tag.
 */
export function makeSelection({ title, tagged }) {
  const count = el("strong", {});
  const message = el("p", { class: "note", role: "status" });
  const cut = action("Save as clips", cutAll);
  const tag = el("input", { type: "text", "aria-label": "Tag for these", placeholder: "add a tag", maxlength: 100 });
  const tagging = el("form", { class: "select-tag", on: { submit: tagAll } }, tag);
  const selected = () => [...chosen.values()].map(({ hit }) => hit);
  const exporter = makeExport({ hits: selected, title, label: "Export what is selected" });
  const none = action("Select none", () => clear(), { class: "text" });
  const node = el(
    "div",
    { class: "selection", role: "group", "aria-label": "Selected moments", hidden: true },
    count,
    cut,
    action("Add to a collection", () => collect(selected())),
    tagging,
    exporter.node,
    none,
    message,
  );
  exporter.show(true);
  // By segment, in the order in which they were selected.
  const chosen = new Map();
  let busy = false;

  /** The box of a hit, for its card. */
  function boxOf(hit, name) {
    const box = el("input", { type: "checkbox", class: "select", "aria-label": `Select ${hit.rank}. ${name}` });
    box.addEventListener("change", () => {
      if (box.checked) chosen.set(hit.segment_id, { hit, box });
      else chosen.delete(hit.segment_id);
      message.textContent = "";
      show();
      say(`${counted(chosen.size, "moment")} selected`);
    });
    return box;
  }

  function show() {
    node.hidden = !chosen.size;
    count.textContent = `${chosen.size} selected`;
  }

  function clear() {
    const [first] = chosen.values();
    const inside = node.contains(document.activeElement);
    for (const { box } of chosen.values()) box.checked = false;
    chosen.clear();
    message.textContent = "";
    show();
    // The button that was pressed is gone with the bar.
    if (inside) first?.box.focus();
  }

  /** Do something with each of many, one after the other; what went wrong with one does not keep the others. */
  async function each(items, verb, done, act) {
    if (busy) return;
    busy = true;
    cut.disabled = true;
    const wrong = [];
    for (const [place, item] of items.entries()) {
      message.textContent = `${verb} ${place + 1} of ${items.length} \u2026`;
      try {
        await act(item);
      } catch (error) {
        wrong.push(error.detail || error.title || error.message);
      }
    }
    busy = false;
    cut.disabled = false;
    const whole = items.length - wrong.length;
    message.textContent = [whole ? done(whole) : "", ...new Set(wrong)].filter(Boolean).join("; ");
    say(message.textContent);
  }

  async function cutAll() {
    await each(selected(), "Cutting", (number) => `Saved ${counted(number, "clip")}`, async ({ video_id, start, end }) => {
      const { file, name } = await api.clip(video_id, start, end, true);
      save(file, name ?? "clip.mp4");
    });
  }

  async function tagAll(event) {
    event.preventDefault();
    const word = tag.value.trim();
    if (!word) return;
    const videos = [...new Set(selected().map((hit) => hit.video_id))];
    await each(videos, "Tagging", (number) => `Tagged ${counted(number, "video")}: ${word}`, async (video) => {
      const { tags } = await api.video(video);
      if (!tags.includes(word)) await api.setTags(video, [...tags, word]);
    });
    tag.value = "";
    tagged();
  }

  return { node, boxOf, clear };
}
